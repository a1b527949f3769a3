"""Whether a foreground run has a reader at any API process.

Every few seconds each API process reports the runs that its readers read. Each report postpones the time at which the
run counts as abandoned. So the ledger keeps no count of readers, which a process that dies would leave wrong.
"""

from __future__ import annotations

from collections.abc import Iterable

from shared.ledger.ledger_script import ledger_script
from shared.redis.keys import Keys
from shared.redis.pipe import Pipe
from shared.redis.replies import texts
from shared.run.events import StopReason

GRACE_MS = 10_000  # a foreground run without a reader goes on for this long: phones lose networks, pages are reloaded
READER_LEASE_MS = GRACE_MS + 3_000  # each API process reports its readers every 3 s


class ReaderLeases:
    def __init__(self, pipe: Pipe, keys: Keys) -> None:
        self._pipe = pipe
        self._attend, self._abandon = ledger_script("attend", keys), ledger_script("abandon", keys)

    async def attend(self, run_ids: Iterable[str]) -> list[str]:
        """Reports that these runs have readers. The API process repeats it within READER_LEASE_MS. Returns the runs
        that the ledger does not know any more, as after a restart of Redis without its data."""
        return texts(await self._pipe.run(self._attend, args=(READER_LEASE_MS, "later", *run_ids)))

    async def leave(self, run_id: str) -> None:
        """Reports that a reader has left. The run is abandoned after GRACE_MS unless an API process reports another
        reader."""
        await self._pipe.run(self._attend, args=(GRACE_MS, "then", run_id))

    async def abandon(self, *, most: int = 100) -> list[str]:
        """Requests a stop of each run that has no reader any more, at most `most` of them. Returns their ids."""
        return texts(await self._pipe.run(self._abandon, args=(StopReason.DISCONNECT.value, most)))
