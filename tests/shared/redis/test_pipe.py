from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from itertools import count

import anyio
import anyio.lowlevel
import pytest
from fakeredis import FakeAsyncRedis, FakeServer
from fakeredis.aioredis import FakeAsyncRedisConnection
from redis.asyncio import Redis

from shared.redis.client import open_redis
from shared.redis.lua_script import LuaScript
from shared.redis.pipe import BATCH, Pipe, open_pipes
from shared.run.errors import Unavailable, Unreadable
from tests.broker import Broker, Look, RealBroker, Valkey, looking, opened_client

ECHO = LuaScript("return {KEYS[1] or '', ARGV[1]}")
TTL = ("PX", 60_000)


# --- round trips ------------------------------------------------------------------------------------------------------


class Counting(FakeAsyncRedisConnection):
    """A connection that counts its writes."""

    sent = 0

    async def send_packed_command(self, command: str | bytes | Iterable[bytes], check_health: bool = True) -> None:
        self.sent += 1
        await super().send_packed_command(command, check_health)


@asynccontextmanager
async def counted() -> AsyncIterator[tuple[Pipe, Counting]]:
    """A pipe of one lane, and its connection."""
    redis = FakeAsyncRedis(server=FakeServer(), connection_class=Counting)
    pipe = Pipe(redis, connections=1)
    await pipe.command("PING")
    await pipe.aclose()
    connection = await redis.connection_pool.get_connection()
    await redis.connection_pool.release(connection)
    connection.sent = 0
    yield pipe, connection
    await redis.aclose()


async def test_calls_share_round_trips() -> None:
    async with counted() as (pipe, connection):
        answers = await asyncio.gather(*(pipe.command("ECHO", str(number)) for number in range(100)))
        assert answers == [b"%d" % number for number in range(100)]
        assert connection.sent == 1


async def test_a_round_trip_has_so_many_calls_and_no_more() -> None:
    async with counted() as (pipe, connection):
        answers = await asyncio.gather(*(pipe.command("ECHO", str(number)) for number in range(2 * BATCH + 1)))
        assert len(answers) == 2 * BATCH + 1
        assert connection.sent == 3


async def test_a_call_that_comes_while_a_lane_falls_idle_is_made() -> None:
    async with counted() as (pipe, _):
        for _ in range(20):
            trip = asyncio.create_task(pipe.command("PING"))
            for _ in range(20):
                await anyio.lowlevel.checkpoint()
                assert await asyncio.wait_for(pipe.command("ECHO", "a"), 20) == b"a"
            await trip


async def test_a_closed_pipe_holds_no_connection(real_broker: Broker) -> None:
    """Another user of the client can get the connection."""
    async with opened_client(real_broker, connections=1) as client:
        pipe = Pipe(client, connections=1)
        await pipe.command("PING")
        await pipe.aclose()
        assert await client.ping()


async def test_calls_of_one_lane_keep_their_order(redis: Redis, look: Look) -> None:
    pipe = Pipe(redis, connections=1)
    await asyncio.gather(*(pipe.command("RPUSH", "k", number) for number in range(2 * BATCH)))
    await pipe.command("PEXPIRE", "k", 60_000)
    assert look.lrange("k", 0, -1) == [b"%d" % number for number in range(2 * BATCH)]


async def test_a_reply_is_read_as_its_command_says(pipe: Pipe, look: Look) -> None:
    """redis-py parses a reply by the name of its command, so the name stays text."""
    look.hset("h", mapping={"a": "1"})
    await pipe.command("XADD", "s", "0-1", "e", "said")
    for key in ("h", "s"):
        look.expire(key, 60)
    assert await pipe.command("HGETALL", "h") == {b"a": b"1"}
    assert await pipe.command("XRANGE", "s", "-", "+") == [(b"0-1", {b"e": b"said"})]


async def test_text_that_cannot_be_encoded_fails_its_own_call_alone(pipe: Pipe) -> None:
    broken, fine = await asyncio.gather(
        pipe.command("SET", "k", "\ud800"), pipe.command("ECHO", "é"), return_exceptions=True
    )
    assert isinstance(broken, UnicodeEncodeError)
    assert fine == "é".encode()


async def test_each_call_gets_its_own_answer(pipe: Pipe) -> None:
    """A call that fails gets its own error."""
    calls = [
        pipe.command("SET", "k", "v", *TTL),
        pipe.command("LPUSH", "k", "x"),
        pipe.run(LuaScript("return redis.error_reply('MINE no')")),
        pipe.command("GET", "k"),
        pipe.run(ECHO, ("k",), ("v",)),
    ]
    done, *wrong, got, echo = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(error) for error in wrong] == [Unreadable, Unavailable]
    assert got == b"v"
    assert echo == [b"k", b"v"]
    assert done


async def test_a_call_that_cannot_be_sent_harms_no_other(pipe: Pipe) -> None:
    """Otherwise the other calls would wait for ever."""
    calls = [pipe.command("ECHO", "a"), pipe.command("ECHO", "\ud800"), pipe.run(ECHO, (), ("b",))]
    one, wrong, other = await asyncio.gather(*calls, return_exceptions=True)
    assert one == b"a"
    assert other == [b"", b"b"]
    assert isinstance(wrong, UnicodeEncodeError)


async def test_a_redis_that_has_forgotten_a_script_is_told_it_again(pipe: Pipe, look: Look) -> None:
    other = LuaScript("return ARGV[1] .. '!'")
    for _ in range(2):
        look.script_flush()
        calls = (pipe.run(ECHO, ("k",), ("a",)), pipe.command("ECHO", "b"), pipe.run(other, (), ("c",)))
        assert list(await asyncio.gather(*calls)) == [[b"k", b"a"], b"b", b"c!"]


class Trips:
    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.failures = 0

    def answered(self, seconds: float) -> None:
        self.seconds.append(seconds)

    def failed(self) -> None:
        self.failures += 1

    def unreadable(self, kind: str) -> None: ...


async def test_calls_that_share_a_round_trip_are_timed_as_one(redis: Redis) -> None:
    trips = Trips()
    pipe = Pipe(redis, connections=1, instrumentation=trips)
    await asyncio.gather(*(pipe.command("PING") for _ in range(20)))
    await pipe.aclose()
    assert 1 <= len(trips.seconds) < 20
    assert min(trips.seconds) > 0
    assert trips.failures == 0


async def test_a_trip_that_no_connection_survived_is_a_failure_and_has_no_time(unused_port: int) -> None:
    trips = Trips()
    async with open_redis(f"redis://127.0.0.1:{unused_port}") as nowhere:
        with pytest.raises(Unavailable):
            await Pipe(nowhere, instrumentation=trips).command("PING")
    assert (trips.failures, trips.seconds) == (1, [])


async def test_a_caller_that_gives_up_costs_no_connection_and_no_other_call(real_broker: Broker) -> None:
    """redis-py would drop the connection of a command that is cancelled."""
    with looking(real_broker) as look:
        async with opened_client(real_broker, connections=1) as client:
            pipe = Pipe(client, connections=1)
            await pipe.command("PING")
            before = connections(look)
            async with anyio.create_task_group() as group:
                group.start_soon(pipe.command, "PING")
                await anyio.lowlevel.checkpoint()
                await anyio.lowlevel.checkpoint()
                group.cancel_scope.cancel()
            assert await pipe.command("ECHO", "a") == b"a"
            assert connections(look) == before
            await pipe.aclose()


async def test_closing_lets_what_is_under_way_finish(redis: Redis, look: Look) -> None:
    pipe = Pipe(redis)
    async with anyio.create_task_group() as group:
        group.start_soon(pipe.command, "SET", "k", "v", *TTL)
        await anyio.lowlevel.checkpoint()
        await pipe.aclose()
        assert look.get("k") == b"v"


# --- a Redis that is away ---------------------------------------------------------------------------------------------


async def test_nobody_listens(unused_port: int) -> None:
    async with opened_client(RealBroker(f"redis://127.0.0.1:{unused_port}")) as client:
        pipe = Pipe(client)
        answers = await asyncio.gather(*(pipe.command("PING") for _ in range(5)), return_exceptions=True)
        assert [type(answer) for answer in answers] == [Unavailable] * 5


async def test_calls_go_on_when_redis_is_back(own_valkey: Valkey) -> None:
    async with opened_client(RealBroker(own_valkey.url)) as client:
        pipe = Pipe(client)
        assert await pipe.run(ECHO, ("k",), ("a",)) == [b"k", b"a"]
        own_valkey.kill()
        with pytest.raises(Unavailable):
            await pipe.run(ECHO, ("k",), ("a",))
        own_valkey.start()
        assert await pipe.run(ECHO, ("k",), ("a",)) == [b"k", b"a"]
        await pipe.aclose()


@pytest.mark.parametrize("trouble", [("CONFIG", "SET", "maxmemory", "1"), ("REPLICAOF", "127.0.0.1", "1")])
async def test_a_redis_that_cannot_take_writes_is_away(own_valkey: Valkey, trouble: tuple[str, ...]) -> None:
    """Its memory is full, or it has become a replica. A script meets this as a command does."""
    broker = RealBroker(own_valkey.url)
    with looking(broker) as look:
        look.execute_command(*trouble)
    async with opened_client(broker) as client:
        pipe = Pipe(client)
        with pytest.raises(Unavailable):
            await pipe.command("SET", "k", "v")
        with pytest.raises(Unavailable):
            await pipe.run(LuaScript("return redis.call('SET', KEYS[1], 'v')"), ("k",))
        await pipe.aclose()


# --- two of them ------------------------------------------------------------------------------------------------------


async def test_logs_may_have_a_redis_of_their_own(real_broker: RealBroker) -> None:
    async with open_pipes(real_broker.url, real_broker.url) as same:
        assert same.ledger is same.events
    async with open_pipes(real_broker.url, real_broker.url + "/1") as two:
        assert two.ledger is not two.events
        await two.events.command("SET", "k", "v", *TTL)
        assert await two.ledger.command("GET", "k") is None


def connections(look: Look) -> set[str]:
    return {client["id"] for client in look.client_list()}


class Unforeseen(Exception):
    """Nobody foresaw it."""


def stumbles(times: int, why: Exception) -> Callable[..., object]:
    """A parser of redis-py's that raises so many times."""
    left = count(times, -1)

    def parse(response: object, **_: object) -> object:
        if next(left) > 0:
            raise why
        return response

    return parse


async def test_after_an_error_that_nobody_foresaw_no_call_gets_the_answer_of_another(redis: Redis) -> None:
    """The connection still has the replies to the broken round trip."""
    redis.set_response_callback("ECHO", stumbles(1, Unforeseen()))
    pipe = Pipe(redis, connections=1)
    broken = await asyncio.gather(*(pipe.command("ECHO", f"a{i}") for i in range(4)), return_exceptions=True)
    assert [type(one) for one in broken] == [Unavailable] * 4
    assert await asyncio.gather(*(pipe.command("ECHO", f"b{i}") for i in range(4))) == [b"b0", b"b1", b"b2", b"b3"]
    await pipe.aclose()


@pytest.mark.parametrize("why", [TypeError(), ValueError(), IndexError(), AttributeError()])
async def test_a_reply_of_another_type_fails_its_own_call_only(redis: Redis, why: Exception) -> None:
    redis.set_response_callback("ECHO", stumbles(1, why))
    pipe = Pipe(redis, connections=1)
    first, *others = await asyncio.gather(*(pipe.command("ECHO", f"a{i}") for i in range(4)), return_exceptions=True)
    assert isinstance(first, Unavailable)
    assert others == [b"a1", b"a2", b"a3"]
    await pipe.aclose()
