from __future__ import annotations

from redis.asyncio import Redis

from api.fleet.web_announcer import WebAnnouncer
from api.relay.reader_heartbeat import ReaderHeartbeat
from shared.ledger.presence import Presence
from shared.ledger.reader_leases import ReaderLeases
from shared.observe.loop_lag import LoopLag
from tests.api.reading import Client
from tests.broker import KEYS
from tests.lossy import LossyPipe


async def test_a_process_tells_how_many_clients_read(redis: Redis) -> None:
    pipe = LossyPipe(redis)
    readers, presence = ReaderHeartbeat(ReaderLeases(pipe, KEYS)), Presence(pipe, KEYS)
    announcer = WebAnnouncer("api-1", presence, readers, LoopLag())
    async with readers.reading(Client("r1")), readers.reading(Client("r1")), readers.reading(Client("r2")):
        await announcer.announce()
        (seen,) = await presence.webs()
    assert (seen.announcement.web, seen.announcement.streams) == ("api-1", 3)
    assert seen.announcement.memory_bytes > 1_000_000
    await announcer.announce()
    (seen,) = await presence.webs()
    assert seen.announcement.streams == 0


async def test_announcing_outlives_a_redis_that_is_away(redis: Redis) -> None:
    pipe = LossyPipe(redis, ["before"])
    presence = Presence(pipe, KEYS)
    announcer = WebAnnouncer("api-1", presence, ReaderHeartbeat(ReaderLeases(pipe, KEYS)), LoopLag())
    for _ in range(2):
        await announcer.announce()
    assert len(await presence.webs()) == 1
