"""Sessions that have something to do: who is at work in them, and who waits."""

from __future__ import annotations

from dataclasses import dataclass

from shared.ledger.ledger_script import ledger_script
from shared.redis.keys import Keys
from shared.redis.pipe import Pipe
from shared.redis.replies import rows

LOOK_AT = 1_000  # runs in each state that are looked at: it holds Redis up for a few milliseconds
NAMED = 10  # runs of each lane that are named


@dataclass(frozen=True)
class Lane:
    """A session with runs that have not ended. `run_ids` are the first of them: the first one runs, or is about to."""

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
        """Those of the LOOK_AT oldest runs in each state, the longest first."""
        return [_lane(*row) for row in rows(await self._pipe.run(self._lanes, args=(most, LOOK_AT, NAMED)))]


def _lane(session: str, agent: str, owner: str, length: str, *run_ids: str) -> Lane:
    return Lane(session, agent, owner, int(length), run_ids)
