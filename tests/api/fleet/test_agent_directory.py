from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis

from api.fleet.agent_directory import AgentDirectory
from api.http.api_errors import ApiError
from shared.ledger.presence import Announcement, Presence, SeenWorker, ServedAgent
from shared.redis.keys import WORKER_TTL_MS
from shared.run.errors import Unavailable
from tests.broker import KEYS, Look
from tests.lossy import LossyPipe


class CountingPresence(Presence):
    """Counts the reads."""

    reads = 0

    async def workers(self) -> list[SeenWorker]:
        self.reads += 1
        return await super().workers()


@pytest.fixture
def pipe(redis: Redis) -> LossyPipe:
    return LossyPipe(redis)


@pytest.fixture
def presence(pipe: LossyPipe) -> CountingPresence:
    return CountingPresence(pipe, KEYS)


async def announce(presence: Presence, *agents: str, worker: str = "w1") -> None:
    served = {agent: ServedAgent(kind="python", description=agent.upper()) for agent in agents}
    await presence.announce(
        Announcement(worker=worker, host="h", pid=1, version="1", slots=1, running=0, since_ms=0, agents=served)
    )


def grow_old(look: Look, worker: str = "w1") -> None:
    """Makes the worker's last announcement too old."""
    _, _, text = (look.hget(KEYS.workers, worker) or b"").partition(b" ")
    seconds, _ = look.time()
    look.hset(KEYS.workers, worker, b"%d %b" % (seconds * 1000 - WORKER_TTL_MS - 1000, text))


async def test_agents_are_those_that_workers_announce(presence: CountingPresence) -> None:
    await announce(presence, "main", worker="w1")
    await announce(presence, "other", worker="w2")
    directory = AgentDirectory(presence)
    assert (await directory.live()).keys() == (await directory.known()).keys() == {"main", "other"}


async def test_many_requests_ask_redis_once(presence: CountingPresence) -> None:
    await announce(presence, "main")
    directory = AgentDirectory(presence)
    await asyncio.gather(*(directory.find("main") for _ in range(50)))
    assert presence.reads == 1


@pytest.mark.parametrize(("agent", "bell"), [("main", "main"), ("whatever", "*")])
async def test_an_agent_is_found_with_the_doorbell_of_its_workers(
    presence: CountingPresence, agent: str, bell: str
) -> None:
    await announce(presence, "main", "*")
    assert await AgentDirectory(presence).find(agent) == (bell, ServedAgent(kind="python", description=bell.upper()))


async def test_an_agent_that_no_worker_serves_is_not_found(presence: CountingPresence) -> None:
    await announce(presence, "main")
    with pytest.raises(ApiError) as failure:
        await AgentDirectory(presence).find("other", param="agent")
    assert (failure.value.status, failure.value.error["param"]) == (404, "agent")


async def test_a_new_worker_is_looked_for_before_saying_no(presence: CountingPresence) -> None:
    await announce(presence, "main")
    directory = AgentDirectory(presence)
    await directory.known()
    await announce(presence, "new")
    assert (await directory.find("new"))[0] == "new"


async def test_an_agent_whose_worker_has_just_gone_is_known_but_not_served(
    presence: CountingPresence, look: Look
) -> None:
    """During a deploy there may be no worker for a moment. The API need not refuse requests for that."""
    await announce(presence, "main")
    grow_old(look)
    directory = AgentDirectory(presence)
    assert await directory.live() == {}
    assert (await directory.find("main"))[0] == "main"


async def test_while_redis_is_away_agents_are_those_known_before(presence: CountingPresence, pipe: LossyPipe) -> None:
    await announce(presence, "main")
    directory = AgentDirectory(presence)
    await directory.workers()
    directory._read_at = float("-inf")  # long ago
    pipe.faults = ["before"] * 100
    with pytest.raises(Unavailable):
        await directory.workers()
    assert (await directory.known()).keys() == {"main"}


async def test_while_redis_is_away_an_agent_is_not_reported_as_not_served(
    presence: CountingPresence, pipe: LossyPipe
) -> None:
    pipe.faults = ["before"] * 100
    with pytest.raises(Unavailable):
        await AgentDirectory(presence).find("main")


class SilentPresence(CountingPresence):
    """Redis is paused: it takes the question and does not answer."""

    async def workers(self) -> list[SeenWorker]:
        self.reads += 1
        await asyncio.get_running_loop().create_future()
        raise AssertionError


async def test_no_request_waits_for_the_patience_of_another(pipe: LossyPipe) -> None:
    """One after the other they would wait for a minute."""
    directory = AgentDirectory(SilentPresence(pipe, KEYS))
    asked = (directory.workers(patience=0.05) for _ in range(200))
    async with asyncio.timeout(200 * 0.05 / 2):
        failures = await asyncio.gather(*asked, return_exceptions=True)
    assert {type(failure) for failure in failures} == {Unavailable}
