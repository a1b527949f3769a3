"""Whether anybody reads a foreground run, counted over all API processes.

Each process says every few seconds which runs it has readers of, and that puts off the time at which the run counts as
abandoned. So nobody counts readers, and a process that dies takes none of them along.
"""

from __future__ import annotations

from collections.abc import Iterable

from shared.ledger.ledger_script import ledger_script
from shared.redis.keys import GRACE_MS, READER_LEASE_MS, Keys
from shared.redis.pipe import Pipe
from shared.redis.replies import texts
from shared.run.events import StopReason


class ReaderLeases:
    def __init__(self, pipe: Pipe, keys: Keys) -> None:
        self._pipe = pipe
        self._attend, self._abandon = ledger_script("attend", keys), ledger_script("abandon", keys)

    async def attend(self, run_ids: Iterable[str]) -> None:
        """Says that somebody reads these runs. To be said again within READER_LEASE_MS."""
        await self._pipe.run(self._attend, args=(READER_LEASE_MS, "later", *run_ids))

    async def leave(self, run_id: str) -> None:
        """Says that a reader has left. Unless another one is there, here or elsewhere, GRACE_MS are left."""
        await self._pipe.run(self._attend, args=(GRACE_MS, "then", run_id))

    async def abandon(self, *, most: int = 100) -> list[str]:
        """Asks for the runs to be stopped that nobody reads any more, and answers their ids."""
        return texts(await self._pipe.run(self._abandon, args=(StopReason.DISCONNECT.value, most)))
