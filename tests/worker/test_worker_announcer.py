from __future__ import annotations

from collections.abc import Callable
from itertools import count

import anyio
from redis.asyncio import Redis

from shared.ledger.operations import Operations
from shared.ledger.presence import Announcement, Presence, WorkerOrder
from shared.ledger.tallies import Tallies, Window
from shared.log.event_log import EventLog
from shared.observe.supervision import Beat
from tests.broker import KEYS
from tests.lossy import LossyPipe
from tests.wait import wait_until
from worker.worker_announcer import WorkerAnnouncer


def obeyed(_: WorkerOrder) -> bool:
    return False


def announcer(
    pipe: LossyPipe, *, obey: Callable[[WorkerOrder], bool] = obeyed, deltas: Callable[[], int] = lambda: 0
) -> tuple[WorkerAnnouncer, Presence]:
    numbers = count(1)

    def current() -> Announcement:
        return Announcement(
            worker="w1", host="h", pid=1, version="1", slots=1, running=next(numbers), since_ms=0, agents={}
        )

    presence = Presence(pipe, KEYS)
    return WorkerAnnouncer(presence, current, obey, deltas), presence


async def running(presence: Presence) -> list[int]:
    return [seen.announcement.running for seen in await presence.workers()]


async def test_each_announcement_says_how_things_are_by_then(redis: Redis) -> None:
    subject, presence = announcer(LossyPipe(redis))
    for number in (1, 2):
        await subject.announce()
        assert await running(presence) == [number]


async def test_a_worker_announces_itself_at_once(redis: Redis) -> None:
    subject, presence = announcer(LossyPipe(redis))
    async with anyio.create_task_group() as group:
        group.start_soon(subject.announce_forever, Beat())
        await wait_until(lambda: running(presence), "the worker is seen")
        group.cancel_scope.cancel()


async def test_announcing_outlives_a_redis_that_is_away(redis: Redis) -> None:
    pipe = LossyPipe(redis, ["before", "after"])
    subject, presence = announcer(pipe)
    for _ in range(3):
        await subject.announce()
    assert await running(presence) == [3]


async def test_an_order_that_changes_something_is_answered_by_an_announcement_at_once(
    redis: Redis, log: EventLog
) -> None:
    orders: list[WorkerOrder] = []

    def obey(order: WorkerOrder) -> bool:
        orders.append(order)
        return orders.count(order) == 1 and order is WorkerOrder.DRAIN

    pipe = LossyPipe(redis)
    subject, presence = announcer(pipe, obey=obey)
    async with anyio.create_task_group() as group:
        group.start_soon(subject.announce_forever, Beat())
        await wait_until(lambda: running(presence), "the worker is seen")
        await Operations(pipe, KEYS, log).drain("w1", who="olga")
        subject.soon()
        await wait_until(lambda: len(orders) == 3, "the worker has announced what it obeys")
        group.cancel_scope.cancel()
    assert orders == [WorkerOrder.NONE, WorkerOrder.DRAIN, WorkerOrder.DRAIN]


async def test_what_was_said_is_told_once(redis: Redis) -> None:
    """That holds also after Redis was away."""
    pipe = LossyPipe(redis, ["", "before"])
    counts = iter([3, 5, 6])
    subject, _ = announcer(pipe, deltas=lambda: next(counts))
    for _ in range(3):
        await subject.announce()
    spans = await Tallies(pipe, KEYS).spans(Window.HOUR)
    assert sum(span.deltas for span in spans) == 6
