from __future__ import annotations

import asyncio

import anyio
import anyio.lowlevel
import pytest
from redis import exceptions
from redis.asyncio import Redis

from shared.redis.client import (
    PipelinedConnection,
    blocking_pop,
    connect,
    encode_command,
    open_link,
    open_redis,
    redis_errors_as_unavailable,
)
from shared.redis.pipe import NoTripInstrumentation
from shared.run.errors import Unavailable, Unreadable
from tests.broker import Broker, Look, RealBroker, looking, opened_client
from tests.wait import wait_until

# --- connecting -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://host", {"host": "host"}),
        ("redis://u:p%40%2Fss@host:7000/3", {"username": "u", "password": "p@/ss", "port": 7000, "db": 3}),
        ("valkey://host:7000", {"host": "host", "port": 7000}),
        ("rediss://host?ssl_cert_reqs=none", {"ssl_cert_reqs": "none"}),
        ("valkeys://valkey.example?ssl_cert_reqs=none", {"host": "valkey.example", "ssl_cert_reqs": "none"}),
        ("unix:///run/redis.sock", {"path": "/run/redis.sock"}),
    ],
)
def test_all_of_a_url_counts(url: str, expected: dict[str, object]) -> None:
    options = connect(url, max_connections=1).connection_pool.connection_kwargs
    assert {name: options.get(name) for name in expected} == expected


def test_a_url_with_tls_connects_with_tls() -> None:
    pool = connect("valkeys://host", max_connections=1).connection_pool
    assert pool.connection_class.__name__ == "SSLConnection"


async def test_a_client_waits_for_a_connection_instead_of_opening_one_more(real_broker: Broker) -> None:
    with looking(real_broker) as look:
        before = connections(look)
        async with opened_client(real_broker, connections=2) as client:
            await asyncio.gather(*(client.get("k") for _ in range(50)))
            assert len(connections(look) - before) == 2


async def test_what_was_opened_is_closed(real_broker: RealBroker) -> None:
    with looking(real_broker) as look:
        before = connections(look)
        async with open_redis(real_broker.url) as client:
            await client.ping()
            assert len(connections(look) - before) == 1
        await wait_until(lambda: not connections(look) - before, "the connection is closed")


def connections(look: Look) -> set[str]:
    return {client["id"] for client in look.client_list()}


async def test_a_lane_takes_another_connection_for_one_that_was_closed(real_broker: RealBroker) -> None:
    """Servers close idle connections, and no call must fail because of that."""
    async with opened_client(real_broker, connections=1) as client:
        lane = PipelinedConnection(client, NoTripInstrumentation())
        [client_id] = await lane.exchange([encode_command("CLIENT", "ID")])
        with looking(real_broker) as look:
            assert look.client_kill_filter(_id=str(client_id)) == 1
            await wait_until(lambda: str(client_id) not in connections(look), "the connection is closed")
        for _ in range(20):
            await anyio.lowlevel.checkpoint()  # the client's event loop receives the end of the connection
        assert await lane.exchange([encode_command("ECHO", "a")]) == [b"a"]
        await lane.give_back()


# --- a Redis that is away ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        exceptions.ConnectionError("at secret:6379"),
        exceptions.TimeoutError("secret"),
        exceptions.OutOfMemoryError("secret"),
        exceptions.ReadOnlyError("secret"),
        exceptions.BusyLoadingError("secret"),
        exceptions.AuthenticationError("secret"),
        ConnectionResetError("secret"),
        TimeoutError("secret"),
        exceptions.ResponseError("MISCONF secret"),
        exceptions.ResponseError("NOREPLICAS secret"),
        exceptions.ResponseError("MASTERDOWN secret"),
        exceptions.ResponseError("UNBLOCKED secret"),
        exceptions.ResponseError("FROBNICATE secret"),
        exceptions.ResponseError("ERR Error running script (call to f_1): @user_script:9: -OOM secret"),
        exceptions.NoPermissionError("secret"),
        exceptions.InvalidResponse("secret"),
        exceptions.RedisError("secret"),
    ],
    ids=lambda error: f"{type(error).__name__} {str(error)[:10]}",
)
def test_not_now_is_told_without_an_address(error: Exception) -> None:
    with pytest.raises(Unavailable) as away, redis_errors_as_unavailable():
        raise error
    assert "secret" not in str(away.value)


@pytest.mark.parametrize("answer", ["WRONGTYPE Operation", "ERR Error running script (f_1): WRONGTYPE Operation"])
def test_a_key_of_another_type_is_told_from_a_redis_that_is_away(answer: str) -> None:
    """To ask again does not help."""
    with pytest.raises(Unreadable), redis_errors_as_unavailable():
        raise exceptions.ResponseError(answer)


@pytest.mark.parametrize("error", [RuntimeError("a bug"), ValueError(), KeyError()])
def test_a_bug_is_not_told_as_not_now(error: Exception) -> None:
    with pytest.raises(type(error)), redis_errors_as_unavailable():
        raise error


# --- blocking ---------------------------------------------------------------------------------------------------------


async def test_a_blocking_pop_takes_one(redis: Redis, look: Look) -> None:
    look.rpush("b", "1", "2")
    look.pexpire("b", 60_000)
    await blocking_pop(redis, ["a", "b"], seconds=20)
    assert look.lrange("b", 0, -1) == [b"2"]


async def test_a_blocking_pop_has_patience(redis: Redis) -> None:
    await blocking_pop(redis, ["a"], seconds=0.01)


# --- links ------------------------------------------------------------------------------------------------------------


async def test_a_link_brings_what_is_published_and_a_word_on_what_it_was_told(redis: Redis, look: Look) -> None:
    async with open_link(redis) as link:
        link.subscribe("a", "b")
        assert [await link.read(), await link.read()] == [[b"subscribe", b"a", 1], [b"subscribe", b"b", 2]]
        look.publish("b", b"1")
        assert await link.read() == [b"message", b"b", b"1"]
        link.unsubscribe("b")
        assert await link.read() == [b"unsubscribe", b"b", 1]
        link.ping()
        assert await link.read() == [b"pong", b""]


async def test_a_link_whose_reading_is_given_up_loses_nothing(redis: Redis, look: Look) -> None:
    async with open_link(redis) as link:
        link.subscribe("a")
        await link.read()
        with anyio.move_on_after(0.01):
            await link.read()
        look.publish("a", b"1")
        assert await link.read() == [b"message", b"a", b"1"]


async def test_a_link_that_has_broken_stays_broken(real_broker: Broker) -> None:
    """A link that connected again by itself would follow no channel, and its reader would not notice."""
    with looking(real_broker) as look:
        async with opened_client(real_broker, connections=1) as client, open_link(client) as link:
            link.subscribe("a")
            await link.read()
            look.client_kill_filter(_type="pubsub")
            for _ in range(2):
                link.subscribe("b")
                with pytest.raises(Unavailable), redis_errors_as_unavailable():
                    await link.read()
            assert not look.pubsub_channels()


async def test_a_link_is_cut_when_it_is_left(real_broker: Broker) -> None:
    """A link returned to the pool with its subscriptions would deliver messages to the next user of the connection."""
    with looking(real_broker) as look:
        async with opened_client(real_broker, connections=1) as client:
            async with open_link(client) as link:
                link.subscribe("a")
                await link.read()
            await wait_until(lambda: not look.pubsub_channels(), "no client is subscribed")
            assert await client.get("k") is None
