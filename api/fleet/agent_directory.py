"""The agents that workers announce. An API process reads them from Redis once a second, not once per request."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress

from api.http import api_errors
from shared.ledger.presence import ANY, Presence, SeenWorker, ServedAgent, known_agents, live_agents
from shared.run.errors import Unavailable

FRESH_SECONDS = 1.0
PATIENCE_SECONDS = 2.0  # that a request waits for Redis here; it may wait as long once more before its 503
KNOWN_SECONDS = 0.5  # that a request waits for news of agents that this process knows already


class AgentDirectory:
    def __init__(self, presence: Presence) -> None:
        self._presence = presence
        self._workers: list[SeenWorker] = []
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    async def workers(self, *, at_most: float = FRESH_SECONDS, patience: float = PATIENCE_SECONDS) -> list[SeenWorker]:
        """The workers as they were at most `at_most` seconds ago. Raises Unavailable, after `patience` seconds when
        Redis does not answer."""
        clock = asyncio.get_running_loop().time
        since = clock() - at_most
        try:
            async with asyncio.timeout(patience):
                if self._read_at < since:
                    await self._read(since)
        except TimeoutError:
            raise Unavailable("Redis did not tell the workers") from None
        return self._workers

    async def _read(self, since: float) -> None:
        """One request reads, and the others wait for its result, each for its own patience."""
        async with self._reading:
            if self._read_at < since:
                began = asyncio.get_running_loop().time()
                self._workers = await self._presence.workers()
                self._read_at = began

    async def live(self) -> dict[str, ServedAgent]:
        """The agents that a worker serves now. Raises Unavailable."""
        return live_agents(await self.workers())

    async def known(self) -> dict[str, ServedAgent]:
        """The agents for which the API may accept a run: served now, or minutes ago by workers that a deploy may bring
        back.

        While Redis is away, the agents known before: `submit` decides whether the run is accepted, not this method.
        """
        with suppress(Unavailable):
            await self.workers(patience=KNOWN_SECONDS if self._workers else PATIENCE_SECONDS)
        return known_agents(self._workers)

    async def find(self, agent_id: str, *, param: str = "model") -> tuple[str, ServedAgent]:
        """The doorbell of the workers that serve the agent, and the agent. Reads the workers again before it refuses,
        because a new worker may serve the agent.

        `param` is the field in which the client named the agent. Raises ApiError 404 when no worker serves it, and
        Unavailable.
        """
        found = _found(agent_id, await self.known())
        found = found or _found(agent_id, known_agents(await self.workers(at_most=0)))
        if found is None:
            raise api_errors.agent_not_found(agent_id, param=param)
        return found


def _found(agent_id: str, agents: Mapping[str, ServedAgent]) -> tuple[str, ServedAgent] | None:
    bell = agent_id if agent_id in agents else ANY
    return (bell, agents[bell]) if bell in agents else None
