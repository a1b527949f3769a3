"""The lanes of sessions: which run is at work in each, and which runs wait behind it."""

from __future__ import annotations

from dataclasses import dataclass

from shared.ledger.ledger_script import ledger_script
from shared.redis.keys import Keys
from shared.redis.pipe import Pipe
from shared.redis.replies import rows

LOOK_AT = 1_000  # runs that the script reads in each state: reading them blocks Redis for a few milliseconds
NAMED = 10  # runs of each lane whose ids the script returns


@dataclass(frozen=True)
class Lane:
    """A session with runs that have not ended. `run_ids` are the first NAMED of them; the first of all runs, or is
    about to."""

    session: str
    agent: str
    owner: str
    length: int
    run_ids: tuple[str, ...]


class Lanes:
    def __init__(self, pipe: Pipe, keys: Keys) -> None:
        self._pipe = pipe
        self._lanes = ledger_script("lanes", keys)

    async def longest(self, most: int) -> list[Lane]:
        """At most `most` lanes, the longest first, found among the LOOK_AT oldest runs in each state."""
        return [_lane(*row) for row in rows(await self._pipe.run(self._lanes, args=(most, LOOK_AT, NAMED)))]


def _lane(session: str, agent: str, owner: str, length: str, *run_ids: str) -> Lane:
    return Lane(session, agent, owner, int(length), run_ids)
