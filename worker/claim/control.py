"""Orders to workers over pub/sub: for speed only. What must not be missed is in the run record and seen at each
renewal, or stands behind the worker's name and is seen at each announcement."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import structlog
from pydantic import TypeAdapter, ValidationError
from redis.asyncio import Redis

from shared.redis.client import open_link, redis_errors_as_unavailable
from shared.redis.keys import Keys
from shared.redis.replies import Reply
from shared.run.errors import Unavailable
from shared.run.events import StopReason, Value
from worker.claim.leases import Leases

logger = structlog.get_logger()

PING_SECONDS = 5.0  # between pings; a link that has brought nothing in the meantime is dead
RETRY_SECONDS = 0.5


class StopOrder(Value):
    run: str
    stop: StopReason


class OrderNotice(Value):
    """A worker of this name was ordered something."""

    worker: str


_ORDERS: TypeAdapter[StopOrder | OrderNotice] = TypeAdapter(StopOrder | OrderNotice)


class Control:
    def __init__(
        self,
        redis: Redis,
        keys: Keys,
        leases: Leases,
        *,
        worker: str,
        news: Callable[[], None],
        ping_seconds: float = PING_SECONDS,
    ) -> None:
        """`redis` is a client of one connection that nobody else uses, without a socket timeout; `news` is called when
        `worker` was ordered something."""
        self._redis = redis
        self._ping_seconds = ping_seconds
        self._channel = keys.control
        self._leases = leases
        self._worker = worker
        self._news = news

    async def listen(self) -> None:
        """Follows orders for ever; takes the connection anew when it breaks."""
        while True:
            try:
                with redis_errors_as_unavailable():
                    await self._listen()
            except Unavailable:
                await anyio.sleep(RETRY_SECONDS)

    async def _listen(self) -> None:
        async with open_link(self._redis) as link:
            link.subscribe(self._channel)
            await link.follow(self._heard, ping_seconds=self._ping_seconds)

    def _heard(self, said: Reply) -> None:
        match said:
            case [b"message", _, bytes(data)]:
                self._obey(data)

    def _obey(self, data: bytes) -> None:
        try:
            order = _ORDERS.validate_json(data)
        except ValidationError:
            logger.warning("control.unknown", order=data[:200])  # a later release's
            return
        match order:
            case OrderNotice(worker=name):
                if name == self._worker:
                    self._news()
            case StopOrder(run=run_id, stop=reason):
                if execution := self._leases.execution(run_id):
                    execution.stop(reason)
