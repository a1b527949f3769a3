"""The readers of this process: says which runs have some, for as long as they have."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import anyio

from shared.attendance import Attendance
from shared.errors import Unavailable

ATTEND_SECONDS = 3.0


class Readers:
    def __init__(self, attendance: Attendance) -> None:
        self._attendance = attendance
        self._reading: Counter[str] = Counter()

    @asynccontextmanager
    async def reading(self, run_id: str) -> AsyncIterator[None]:
        """A client reads the run in this block."""
        self._reading[run_id] += 1
        try:
            yield
        finally:
            self._reading[run_id] -= 1
            if not self._reading[run_id]:
                del self._reading[run_id]
                await self._leave(run_id)

    async def attend_forever(self) -> None:
        while True:
            if self._reading:
                with suppress(Unavailable):  # nobody can cancel anything meanwhile, either
                    await self._attendance.attend(tuple(self._reading))
            await anyio.sleep(ATTEND_SECONDS)

    async def _leave(self, run_id: str) -> None:
        # Shielded: a client that leaves cancels whatever served it.
        with anyio.CancelScope(shield=True), anyio.move_on_after(ATTEND_SECONDS), suppress(Unavailable):
            await self._attendance.leave(run_id)
