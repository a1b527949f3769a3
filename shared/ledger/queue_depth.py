"""How many runs wait and how many run, in the whole service. Monitoring shows these numbers, and scaling follows
them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shared.ledger.ledger_script import ledger_script
from shared.redis.keys import Keys
from shared.redis.pipe import Pipe
from shared.redis.replies import rows

AGENTS = 500  # whose runs the script counts: it blocks Redis for a millisecond or two


@dataclass(frozen=True)
class Depth:
    """Runs at one moment. `oldest_wait_ms` is how long the first of the runs that wait for a worker has been
    claimable."""

    waiting: int = 0  # for a worker
    in_line: int = 0  # for the session's turn: no worker may claim them yet
    running: int = 0
    oldest_wait_ms: int = 0
    held: int = 0  # behind a pause: no worker may claim them yet


@dataclass(frozen=True)
class FleetDepth:
    """`total` counts every run; `agents` has the AGENTS that were used last."""

    total: Depth
    agents: Mapping[str, Depth]


class QueueDepth:
    def __init__(self, pipe: Pipe, keys: Keys, *, most_agents: int = AGENTS) -> None:
        self._pipe = pipe
        self._depth = ledger_script("depth", keys)
        self._most_agents = most_agents

    async def read(self) -> FleetDepth:
        """Reads the depth now, by Redis's clock. Raises Unavailable."""
        totals, *counted = rows(await self._pipe.run(self._depth, args=(self._most_agents,)))
        now, claimable, in_line, running = map(int, totals)
        agents = {agent: _depth(now, list(map(int, counts))) for agent, *counts in counted}
        held = sum(depth.held for depth in agents.values())
        oldest = max((depth.oldest_wait_ms for depth in agents.values()), default=0)
        return FleetDepth(Depth(max(0, claimable - held), in_line, running, oldest, held), agents)


def _depth(now: int, counts: Sequence[int]) -> Depth:
    waiting, in_line, running, since, held = counts
    return Depth(waiting, in_line, running, max(0, now - since) if since else 0, held)
