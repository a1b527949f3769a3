"""The readers of this process. A heartbeat renews the reader lease of each run that has a reader here."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Protocol

import anyio

from shared.ledger.reader_leases import ReaderLeases
from shared.observe.supervision import Beat
from shared.run.errors import Unavailable

ATTEND_SECONDS = 3.0
LEAVE_SECONDS = 0.4  # the command is sent by then, and its response is not needed, least of all by a stopping process


class ReadPosition(Protocol):
    """A client's position in a run. `ended` is true once the client has read the last event."""

    run_id: str
    ended: bool


class ReaderHeartbeat:
    def __init__(self, leases: ReaderLeases, gone: Callable[[str], None] = lambda _: None) -> None:
        """`gone` is called with a run that the ledger does not know any more, so that its readers look for it."""
        self._leases = leases
        self._gone = gone
        self._reading: Counter[str] = Counter()

    @property
    def count(self) -> int:
        """The number of clients that are reading."""
        return self._reading.total()

    @asynccontextmanager
    async def reading(self, place: ReadPosition, *, returning: bool = False) -> AsyncIterator[None]:
        """A client reads a run in this block.

        `returning`: the run may be about to be cancelled for lack of readers, so the lease is renewed at once. A client
        that has read the last event leaves without a report, because a run that has ended is not watched."""
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

    async def attend_forever(self, beat: Beat) -> None:
        while True:
            if self._reading:
                await self._attend(tuple(self._reading))
            await beat.sleep(ATTEND_SECONDS)

    async def _attend(self, run_ids: Sequence[str]) -> None:
        with suppress(Unavailable):  # while Redis is away, the janitor cannot cancel the run either
            for run_id in await self._leases.attend(run_ids):
                self._gone(run_id)

    async def _leave(self, run_id: str) -> None:
        # Shielded: a client that disconnects cancels the task that serves it.
        with anyio.CancelScope(shield=True), anyio.move_on_after(LEAVE_SECONDS), suppress(Unavailable):
            await self._leases.leave(run_id)
