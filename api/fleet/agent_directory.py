"""Which agents are served, as the workers announce it; asked of Redis once a second, not once a request."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress

from api.http import api_errors
from shared.ledger.presence import ANY, Presence, SeenWorker, ServedAgent, known_agents, live_agents
from shared.run.errors import Unavailable

FRESH_SECONDS = 1.0


class AgentDirectory:
    def __init__(self, presence: Presence) -> None:
        self._presence = presence
        self._workers: list[SeenWorker] = []
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    async def workers(self, *, at_most: float = FRESH_SECONDS) -> list[SeenWorker]:
        """The workers as they were at most so many seconds ago. Raises Unavailable."""
        clock = asyncio.get_running_loop().time
        if clock() - self._read_at > at_most:
            async with self._reading:  # one asks, the others wait for the same answer
                if clock() - self._read_at > at_most:
                    self._workers = await self._presence.workers()
                    self._read_at = clock()
        return self._workers

    async def live(self) -> dict[str, ServedAgent]:
        """Agents that somebody serves now."""
        return live_agents(await self.workers())

    async def known(self) -> dict[str, ServedAgent]:
        """Agents a run may be accepted for: served now, or minutes ago by workers that a deploy may bring back.

        While Redis is away, those known before: whether a run is accepted is decided elsewhere.
        """
        with suppress(Unavailable):
            await self.workers()
        return known_agents(self._workers)

    async def find(self, agent_id: str, *, param: str = "model") -> tuple[str, ServedAgent]:
        """The doorbell of those who serve the agent, and the agent. A new worker is looked for before saying no.

        `param` is where the client named it. Raises Failure 404, and Unavailable when Redis does not say.
        """
        found = _found(agent_id, await self.known())
        found = found or _found(agent_id, known_agents(await self.workers(at_most=0)))
        if found is None:
            raise api_errors.agent_not_found(agent_id, param=param)
        return found


def _found(agent_id: str, agents: Mapping[str, ServedAgent]) -> tuple[str, ServedAgent] | None:
    bell = agent_id if agent_id in agents else ANY
    return (bell, agents[bell]) if bell in agents else None
