"""How many runs wait and how many run, in the whole service. Monitoring shows these numbers, and scaling follows
them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shared.ledger.ledger_script import ledger_script
from shared.redis.keys import Keys
from shared.redis.pipe import Pipe
from shared.redis.replies import rows

LOOK_AT = 500  # waiting and running runs whose agent the script reads: it blocks Redis for a millisecond or two


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
    """`total` counts every run, `agents` only the first LOOK_AT. Behind those, `total` counts every queued run as one
    that waits for a worker."""

    total: Depth
    agents: Mapping[str, Depth]


class QueueDepth:
    def __init__(self, pipe: Pipe, keys: Keys, *, look_at: int = LOOK_AT) -> None:
        self._pipe = pipe
        self._depth = ledger_script("depth", keys)
        self._look_at = look_at

    async def read(self) -> FleetDepth:
        """Reads the depth now, by Redis's clock. Raises Unavailable."""
        (now,), *counted = rows(await self._pipe.run(self._depth, args=(self._look_at,)))
        agents = {agent: _depth(int(now), list(map(int, counts))) for agent, *counts in counted}
        total = Depth(
            waiting=sum(depth.waiting for depth in agents.values()),
            in_line=sum(depth.in_line for depth in agents.values()),
            running=sum(depth.running for depth in agents.values()),
            oldest_wait_ms=max((depth.oldest_wait_ms for depth in agents.values()), default=0),
            held=sum(depth.held for depth in agents.values()),
        )
        agents.pop("", None)
        return FleetDepth(total, agents)


def _depth(now: int, counts: Sequence[int]) -> Depth:
    waiting, in_line, running, since, held = counts
    return Depth(waiting, in_line, running, max(0, now - since) if since else 0, held)
