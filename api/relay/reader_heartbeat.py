"""The readers of this process: says which runs have some, for as long as they have."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Protocol

import anyio

from shared.ledger.reader_leases import ReaderLeases
from shared.run.errors import Unavailable

ATTEND_SECONDS = 3.0
LEAVE_SECONDS = 0.4  # the word is on its way by then, and nobody needs the answer: least of all a process that stops


class ReadPosition(Protocol):
    """Where a client is in a run; `ended`: it has read the last event."""

    run_id: str
    ended: bool


class ReaderHeartbeat:
    def __init__(self, attendance: ReaderLeases) -> None:
        self._attendance = attendance
        self._reading: Counter[str] = Counter()

    @property
    def count(self) -> int:
        """Clients that read now."""
        return self._reading.total()

    @asynccontextmanager
    async def reading(self, place: ReadPosition, *, returning: bool = False) -> AsyncIterator[None]:
        """A client reads a run in this block. `returning`: to one that may be about to end for want of readers. Nobody
        need know that one leaves who has read to the end: a run that has ended is not watched."""
        run_id = place.run_id
        self._reading[run_id] += 1
        try:
            if returning:
                await self._attend([run_id])
            yield
        finally:
            self._reading[run_id] -= 1
            if not self._reading[run_id]:
                del self._reading[run_id]
                if not place.ended:
                    await self._leave(run_id)

    async def attend_forever(self) -> None:
        while True:
            if self._reading:
                await self._attend(tuple(self._reading))
            await anyio.sleep(ATTEND_SECONDS)

    async def _attend(self, run_ids: Sequence[str]) -> None:
        with suppress(Unavailable):  # nobody can cancel anything meanwhile, either
            await self._attendance.attend(run_ids)

    async def _leave(self, run_id: str) -> None:
        # Shielded: a client that leaves cancels whatever served it.
        with anyio.CancelScope(shield=True), anyio.move_on_after(LEAVE_SECONDS), suppress(Unavailable):
            await self._attendance.leave(run_id)
