from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import anyio
import pytest
from redis.asyncio import Redis

from tests.broker import KEYS, Broker, Look, RealBroker, looking, opened_client
from tests.wait import wait_until
from worker.claim.doorbell import Doorbell

NEVER = 3600.0  # seconds


@pytest.fixture
async def bell(broker: Broker) -> AsyncIterator[Redis]:
    async with opened_client(broker, connections=1) as client:
        yield client


def ring(look: Look, name: str, times: int = 1) -> None:
    look.rpush(KEYS.bell(name), *["1"] * times)
    look.pexpire(KEYS.bell(name), 60_000)


async def test_a_token_that_is_there_wakes_at_once(bell: Redis, look: Look) -> None:
    ring(look, "main")
    await Doorbell(bell, KEYS, ["main"], poll_seconds=NEVER).wait()
    assert look.llen(KEYS.bell("main")) == 0


@pytest.mark.parametrize("name", ["main", "other", "*"])
async def test_whoever_sleeps_wakes_at_any_of_its_bells(bell: Redis, look: Look, name: str) -> None:
    doorbell = Doorbell(bell, KEYS, ["main", "other", "*"], poll_seconds=NEVER)
    async with anyio.create_task_group() as group:
        group.start_soon(doorbell.wait)
        await anyio.wait_all_tasks_blocked()
        ring(look, name)


async def test_another_agents_bell_wakes_nobody(bell: Redis, look: Look) -> None:
    doorbell = Doorbell(bell, KEYS, ["main"], poll_seconds=NEVER)
    async with anyio.create_task_group() as group:
        ring(look, "other")
        group.start_soon(doorbell.wait)
        await anyio.wait_all_tasks_blocked()
        assert look.llen(KEYS.bell("other")) == 1
        ring(look, "main")


async def test_one_token_wakes_one_sleeper(broker: Broker, look: Look) -> None:
    woken: list[int] = []

    async def sleeper(number: int) -> None:
        async with opened_client(broker, connections=1) as client:
            await Doorbell(client, KEYS, ["main"], poll_seconds=NEVER).wait()
            woken.append(number)

    async with anyio.create_task_group() as group:
        for number in range(2):
            group.start_soon(sleeper, number)
        await anyio.wait_all_tasks_blocked()
        ring(look, "main")
        await wait_until(lambda: woken, "one of them is awake")
        assert len(woken) == 1
        ring(look, "main")
        await wait_until(lambda: len(woken) == 2, "the other is awake")


async def test_nobody_sleeps_longer_than_the_poll(bell: Redis) -> None:
    """A token of the bell may have been lost."""
    await Doorbell(bell, KEYS, ["main"], poll_seconds=0.01).wait()


async def test_a_sleeper_that_is_cancelled_can_sleep_again(bell: Redis, look: Look) -> None:
    doorbell = Doorbell(bell, KEYS, ["main"], poll_seconds=NEVER)
    async with anyio.create_task_group() as group:
        group.start_soon(doorbell.wait)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    ring(look, "main", times=2)  # the cancelled pop may take one
    await doorbell.wait()


async def test_when_redis_is_away_it_is_not_asked_without_pause(unused_port: int) -> None:
    """`wait` returns, so that the worker can read the queue, but not at once."""
    clock = asyncio.get_running_loop().time
    away = RealBroker(f"redis://127.0.0.1:{unused_port}")
    async with opened_client(away, connections=1) as client:
        before = clock()
        for _ in range(3):
            await Doorbell(client, KEYS, ["main"], poll_seconds=0.02).wait()
        assert clock() - before >= 0.03


async def test_a_connection_that_was_killed_is_taken_anew(real_broker: Broker) -> None:
    with looking(real_broker) as look:
        async with opened_client(real_broker, connections=1) as client:
            doorbell = Doorbell(client, KEYS, ["main"], poll_seconds=1)
            async with anyio.create_task_group() as group:
                group.start_soon(doorbell.wait)
                (sleeper,) = await wait_until(lambda: _sleepers(look), "it sleeps")
                look.client_kill_filter(_id=sleeper)
            ring(look, "main")
            await doorbell.wait()
        assert look.llen(KEYS.bell("main")) == 0


def _sleepers(look: Look) -> list[str]:
    return [client["id"] for client in look.client_list() if client["cmd"] == "blpop"]
