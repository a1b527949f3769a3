"""Orders to workers over pub/sub, for speed only: a worker may miss a message.

So no order depends on this channel. The worker reads an order to stop a run in the run record at each renewal of a
lease, and an order to itself with each announcement.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog
from pydantic import TypeAdapter, ValidationError
from redis.asyncio import Redis

from shared.observe.supervision import Beat
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
    """The order to the worker of this name has changed."""

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
        on_order: Callable[[], None],
        ping_seconds: float = PING_SECONDS,
    ) -> None:
        """`redis` is a client of one connection without a socket timeout, for this object alone. `on_order` is called
        when an order to `worker` has changed."""
        self._redis = redis
        self._ping_seconds = ping_seconds
        self._channel = keys.control
        self._leases = leases
        self._worker = worker
        self._on_order = on_order

    async def listen(self, beat: Beat) -> None:
        """Follows orders for ever; reconnects when the connection breaks."""
        while True:
            beat()
            try:
                with redis_errors_as_unavailable():
                    await self._listen(beat)
            except Unavailable:
                await beat.sleep(RETRY_SECONDS)

    async def _listen(self, beat: Beat) -> None:
        async with open_link(self._redis) as link:
            link.subscribe(self._channel)
            await link.follow(self._receive, ping_seconds=self._ping_seconds, beat=beat)

    def _receive(self, reply: Reply) -> None:
        match reply:
            case [b"message", _, bytes(data)]:
                self._obey(data)

    def _obey(self, data: bytes) -> None:
        try:
            order = _ORDERS.validate_json(data)
        except ValidationError:
            logger.warning("control.unknown", order=data[:200])  # a later release may send it
            return
        match order:
            case OrderNotice(worker=name):
                if name == self._worker:
                    self._on_order()
            case StopOrder(run=run_id, stop=reason):
                if execution := self._leases.execution(run_id):
                    execution.stop(reason)
