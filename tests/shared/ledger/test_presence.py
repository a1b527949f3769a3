from __future__ import annotations

from typing import Literal

import pytest

from shared.ledger.presence import Presence, WebAnnouncement, known_agents, live_agents, process_name
from shared.redis.keys import WORKER_MEMORY_MS, WORKER_TTL_MS
from shared.redis.pipe import Pipe
from shared.run.run import Policy
from tests.broker import KEYS, Look
from tests.shared.announcing import announcement


@pytest.fixture
def presence(pipe: Pipe) -> Presence:
    return Presence(pipe, KEYS)


def silent_for(look: Look, worker: str, ms: int) -> None:
    _, _, text = (look.hget(KEYS.workers, worker) or b"").partition(b" ")
    seconds, _ = look.time()
    look.hset(KEYS.workers, worker, b"%d %b" % (seconds * 1000 - ms, text))


async def test_what_a_worker_announces_is_seen(presence: Presence) -> None:
    assert await presence.workers() == []
    await presence.announce(announcement("w1", "main", "*"))
    (seen,) = await presence.workers()
    assert seen.announcement == announcement("w1", "main", "*")
    assert 0 <= seen.age_ms < WORKER_TTL_MS
    assert seen.live


async def test_a_worker_has_one_entry(presence: Presence) -> None:
    await presence.announce(announcement("w1", "old"))
    await presence.announce(announcement("w1", "new"))
    await presence.announce(announcement("w2"))
    assert known_agents(await presence.workers()).keys() == {"new", "main"}


async def test_a_silent_worker_is_dead_and_remembered(presence: Presence, look: Look) -> None:
    await presence.announce(announcement())
    silent_for(look, "w1", WORKER_TTL_MS + 1000)
    workers = await presence.workers()
    assert [seen.live for seen in workers] == [False]
    assert live_agents(workers) == {}
    assert known_agents(workers).keys() == {"main"}


async def test_a_worker_long_dead_is_forgotten(presence: Presence, look: Look) -> None:
    await presence.announce(announcement("w1"))
    silent_for(look, "w1", WORKER_MEMORY_MS + 1000)
    await presence.announce(announcement("w2"))
    assert [seen.announcement.worker for seen in await presence.workers()] == ["w2"]


@pytest.mark.parametrize("state", ["draining", "gone"])
async def test_a_worker_that_stops_serves_nothing_new(presence: Presence, state: Literal["draining", "gone"]) -> None:
    await presence.announce(announcement("w1", "main", state=state))
    workers = await presence.workers()
    assert live_agents(workers) == {}
    assert known_agents(workers).keys() == {"main"}


async def test_the_policy_of_an_agent_is_announced(presence: Presence) -> None:
    await presence.announce(announcement())
    assert live_agents(await presence.workers())["main"].policy == Policy(max_attempts=7)


def test_no_two_processes_have_the_same_name() -> None:
    assert process_name("api") != process_name("api")
    assert process_name("worker").startswith("worker-")


# --- API processes ----------------------------------------------------------------------------------------------------


async def test_what_an_api_process_announces_is_seen_apart_from_workers(presence: Presence) -> None:
    announced = WebAnnouncement(web="api-1", host="h", pid=1, version="1", streams=3, lag_ms=0.5, since_ms=1)
    await presence.announce(announcement("w1"))
    await presence.announce_web(announced)
    (seen,) = await presence.webs()
    assert seen.announcement == announced
    assert seen.live
    assert [one.announcement.worker for one in await presence.workers()] == ["w1"]


async def test_an_order_is_forgotten_with_its_worker(presence: Presence, look: Look) -> None:
    orders = KEYS.prefixes()["orders"]
    await presence.announce(announcement("w1"))
    look.hset(orders, "w1", "drain")
    silent_for(look, "w1", WORKER_MEMORY_MS + 1000)
    await presence.announce(announcement("w2"))
    assert look.hgetall(orders) == {}
