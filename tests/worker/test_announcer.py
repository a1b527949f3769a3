from __future__ import annotations

from itertools import count

import anyio
from redis.asyncio import Redis

from shared.presence import Announcement, Presence
from tests.broker import KEYS
from tests.lossy import LossyPipe
from tests.wait import wait_until
from worker.announcer import Announcer


def announcer(pipe: LossyPipe) -> tuple[Announcer, Presence]:
    numbers = count(1)

    def word() -> Announcement:
        return Announcement(
            worker="w1", host="h", pid=1, version="1", slots=1, running=next(numbers), since_ms=0, agents={}
        )

    presence = Presence(pipe, KEYS)
    return Announcer(presence, word), presence


async def running(presence: Presence) -> list[int]:
    return [seen.announcement.running for seen in await presence.workers()]


async def test_each_announcement_says_how_things_are_by_then(redis: Redis) -> None:
    told, presence = announcer(LossyPipe(redis))
    for number in (1, 2):
        await told.announce()
        assert await running(presence) == [number]


async def test_a_worker_announces_itself_at_once(redis: Redis) -> None:
    told, presence = announcer(LossyPipe(redis))
    async with anyio.create_task_group() as group:
        group.start_soon(told.announce_forever)
        await wait_until(lambda: running(presence), "the worker is seen")
        group.cancel_scope.cancel()


async def test_announcing_outlives_a_redis_that_is_away(redis: Redis) -> None:
    pipe = LossyPipe(redis, ["before", "after"])
    told, presence = announcer(pipe)
    for _ in range(3):
        await told.announce()
    assert await running(presence) == [3]
