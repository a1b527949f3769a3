"""The doorbell: a worker with a free slot sleeps until a run may be claimed, and wakes within a millisecond.

The bell is a hint. A token may be lost (a cancelled pop may have taken it) or stale (another worker took the run). So a
worker that wakes, or has slept for POLL_SECONDS, reads the queue.
"""

from __future__ import annotations

from collections.abc import Iterable

import anyio
from redis.asyncio import Redis

from shared.redis.client import blocking_pop
from shared.redis.keys import Keys
from shared.run.errors import Unavailable

POLL_SECONDS = 1.0  # the longest sleep; bounds what a lost token costs


class Doorbell:
    def __init__(self, redis: Redis, keys: Keys, agents: Iterable[str], *, poll_seconds: float = POLL_SECONDS) -> None:
        """`redis` is a client of one connection, for this object alone: a blocking pop holds the connection."""
        self._redis = redis
        self._bells = [keys.bell(agent) for agent in agents]
        self._poll_seconds = poll_seconds

    async def wait(self) -> None:
        """Returns when the bell rings, after the time of a poll, or, while Redis is away, after half that time."""
        try:
            await blocking_pop(self._redis, self._bells, seconds=self._poll_seconds)
        except Unavailable:
            await anyio.sleep(self._poll_seconds / 2)
