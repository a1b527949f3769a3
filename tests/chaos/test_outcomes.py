"""What becomes of accepted runs and of open streams: a test for each fault of Redis and of the links to it, and for the
faults of API processes and clients that `tests/e2e` does not have. docs/reliability.md lists the tests of all faults.

In each test the agent emits text while the fault lasts: the relay must read from the log what pub/sub lost.
"""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random

import anyio
import httpx
import pytest
from redis.asyncio import Redis

from chaos.service import TOKEN, Service, running
from chaos.web import frames
from shared.redis.pipe import Pipe
from tests.e2e.asking import CHAT, asked, authorised, content
from tests.e2e.play import Play, say, wait
from tests.e2e.process import ROOT
from tests.wait import wait_until

LEASE_SECONDS = 2.0
AWAY_SECONDS = 1.5 * LEASE_SECONDS  # long enough for every lease to end
SETTINGS = {"AGENTS_FILE": str(ROOT / "tests/e2e/agents.toml"), "LEASE_SECONDS": str(LEASE_SECONDS)}


@pytest.fixture(scope="module")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    """Two API and two worker processes. Each test mends what it breaks."""
    async with running(tmp_path_factory.mktemp("outcomes"), apis=2, workers=2, settings=SETTINGS) as service:
        yield service
        assert await service.stop() == []


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(headers=authorised(TOKEN), timeout=30) as http:
        yield http


@dataclass
class Received:
    """What a client has received of a stream: its text, the code of its end, whether `[DONE]` came, ids of events."""

    text: str = ""
    end: str = ""
    done: bool = False
    ids: list[int] = field(default_factory=list)

    def take(self, frame: str) -> None:
        *head, data = frame.split("\n")
        self.ids += [int(line.removeprefix("id: ")) for line in head if line.startswith("id: ")]
        if data == "data: [DONE]":
            self.done = True
            return
        value = json.loads(data.removeprefix("data: "))
        if "error" in value:
            self.end = value["error"]["code"]
        elif "choices" in value:
            (choice,) = value["choices"]
            self.text += choice["delta"].get("content", "")
            self.end = choice["finish_reason"] or ""
        else:
            self.text += value["data"].get("delta", "")


async def stream(http: httpx.AsyncClient, url: str, play: Play, received: Received, **headers: str) -> None:
    body = asked(play.message, "scripted", stream=True)
    async with http.stream("POST", url + CHAT, json=body, headers=headers) as answer:
        assert answer.status_code == 200, await answer.aread()
        async for frame in frames(answer):
            received.take(frame)
    assert received.done


async def ask(http: httpx.AsyncClient, url: str, play: Play, received: Received) -> None:
    received.text = content(await http.post(url + CHAT, json=asked(play.message, "scripted")))


async def echoed(http: httpx.AsyncClient, url: str) -> httpx.Response:
    return await http.post(url + CHAT, json=asked("Hi", "echo"))


@dataclass
class Scene:
    """Two runs at work. A client reads the first one, which has emitted text, as a stream. The second one is silent,
    and a client waits for its whole answer at the other process.
    """

    streaming: Play
    silent: Play
    received: Received
    whole: Received

    def go_on(self) -> None:
        for play in (self.streaming, self.silent):
            play.open("on")


@asynccontextmanager
async def scene(service: Service, http: httpx.AsyncClient) -> AsyncIterator[Scene]:
    """A block in which a test causes a fault. After it, both clients have their whole answers, each agent has run once,
    and the service answers new requests.
    """
    streaming = Play(service.folder, say("one "), wait("on"), say("two"))
    silent = Play(service.folder, wait("on"), say("three"))
    received, whole = Received(), Received()
    async with anyio.create_task_group() as clients:
        clients.start_soon(stream, http, service.urls[0], streaming, received)
        clients.start_soon(ask, http, service.urls[1], silent, whole)
        await wait_until(lambda: received.text == "one " and silent.starts, "both agents are at work")
        yield Scene(streaming, silent, received, whole)
    assert (received.text, received.end, whole.text) == ("one two", "stop", "three")
    assert [len(play.starts) for play in (streaming, silent)] == [1, 1]
    for url in service.urls:
        assert content(await echoed(http, url)) == "Hi"


# --- Redis is away, for longer than a lease ---------------------------------------------------------------------------


async def redis_command(service: Service, command: str) -> None:
    async with service.valkey.look() as look:
        await Pipe(look).command(*command.split())


Steps = tuple[Callable[[Service], Awaitable[None]], Callable[[Service], Awaitable[None]]]


async def paused(service: Service) -> None:
    service.valkey.pause()


async def resumed(service: Service) -> None:
    service.valkey.resume()


async def started(service: Service) -> None:
    await service.valkey.start()


AWAY: dict[str, Steps] = {
    "stopped": (lambda service: service.valkey.end(signal.SIGTERM), started),
    "killed": (lambda service: service.valkey.end(signal.SIGKILL), started),
    "paused": (paused, resumed),
    "full": (
        lambda service: redis_command(service, "CONFIG SET maxmemory 1"),
        lambda service: redis_command(service, "CONFIG SET maxmemory 0"),
    ),
    "readonly": (
        lambda service: redis_command(service, "REPLICAOF 127.0.0.1 1"),
        lambda service: redis_command(service, "REPLICAOF NO ONE"),
    ),
}


@pytest.mark.parametrize("how", AWAY)
async def test_redis_away_for_longer_than_a_lease(service: Service, http: httpx.AsyncClient, how: str) -> None:
    """Runs go on, streams stay open and go on without a gap, and new requests get a Retry-After."""
    begin, mend = AWAY[how]
    async with scene(service, http) as under_way:
        await begin(service)
        try:
            async with anyio.create_task_group() as meanwhile:
                meanwhile.start_soon(anyio.sleep, AWAY_SECONDS)
                refused = await echoed(http, service.urls[0])
            assert (refused.status_code, bool(refused.headers["retry-after"])) == (503, True)
            under_way.go_on()
            await wait_until(lambda: under_way.streaming.events("end"), "the agent goes on")
            assert (under_way.received.text, under_way.received.end, under_way.whole.text) == ("one ", "", "")
        finally:
            await mend(service)


async def test_redis_restarted_empty(service: Service, http: httpx.AsyncClient) -> None:
    """Only this fault loses runs. Their readers get `run_lost`, workers stop their agents, and the API accepts new
    runs.
    """
    play, received = Play(service.folder, say("one "), wait("never")), Received()
    async with anyio.create_task_group() as clients:
        # The relay checks the run of a client with a short timeout more often.
        clients.start_soon(lambda: stream(http, service.urls[0], play, received, **{"x-stainless-read-timeout": "2"}))
        await wait_until(lambda: received.text == "one ", "the agent speaks")
        await service.valkey.end(signal.SIGKILL)
        shutil.rmtree(service.folder / "appendonlydir")
        await service.valkey.start()
    assert (received.text, received.end) == ("one ", "run_lost")
    await wait_until(lambda: play.events("end"), "the agent is stopped")
    await service.ready()
    assert content(await echoed(http, service.urls[1])) == "Hi"


# --- links to Redis ---------------------------------------------------------------------------------------------------


async def killed(service: Service, chosen: Callable[[dict[str, str]], bool]) -> None:
    """Cuts the connections of this kind one by one, as an administrator would."""
    async with service.valkey.look() as look:
        doomed = [client["id"] for client in await look.client_list() if chosen(client)]
        assert doomed
        for id in doomed:
            await look.client_kill_filter(_id=id)
        await wait_until(lambda: _gone(look, doomed), "they are gone")


async def _gone(look: Redis, ids: list[str]) -> bool:
    return not {client["id"] for client in await look.client_list()} & set(ids)


LINKS: dict[str, Callable[[dict[str, str]], bool]] = {
    "pubsub": lambda client: client["sub"] != "0",
    "doorbell": lambda client: client["cmd"] == "blpop",
    "pool": lambda client: client["sub"] == "0" and client["cmd"] not in ("blpop", "client|list"),
}


@pytest.mark.parametrize("kind", LINKS)
async def test_connections_killed_one_by_one(service: Service, http: httpx.AsyncClient, kind: str) -> None:
    async with scene(service, http) as under_way:
        await killed(service, LINKS[kind])
        under_way.go_on()


async def test_all_links_to_redis_cut_at_once(service: Service, http: httpx.AsyncClient) -> None:
    async with scene(service, http) as under_way:
        assert service.redis.cut(Random(1), share=1.0)
        under_way.go_on()


async def test_links_to_redis_half_open(service: Service, http: httpx.AsyncClient) -> None:
    """Redis does not answer, and the links stay open."""
    async with scene(service, http) as under_way:
        service.redis.stall()
        try:
            under_way.go_on()
            await wait_until(lambda: under_way.streaming.events("end"), "the agent goes on")
        finally:
            service.redis.flow()


async def test_replies_of_redis_delayed(service: Service, http: httpx.AsyncClient) -> None:
    service.redis.delay = 0.03
    try:
        async with scene(service, http) as under_way:
            under_way.go_on()
    finally:
        service.redis.delay = 0.0


# --- API processes and clients ----------------------------------------------------------------------------------------


async def test_an_api_process_paused(service: Service, http: httpx.AsyncClient) -> None:
    """Its runs go on, and a client can read them at another process. When it wakes, its streams go on without a gap."""
    play, received, elsewhere = Play(service.folder, say("one "), wait("on"), say("two")), Received(), Received()
    sleeper = service.webs[0][1]
    async with anyio.create_task_group() as clients:
        clients.start_soon(stream, http, service.urls[0], play, received)
        await wait_until(lambda: received.text == "one ", "the agent speaks")
        sleeper.signal(signal.SIGSTOP)
        try:
            play.open("on")
            await follow(http, service.urls[1], play.starts[0].run, elsewhere, after=0)
            assert (elsewhere.text, received.text) == ("one two", "one ")
        finally:
            sleeper.signal(signal.SIGCONT)
    assert (received.text, received.end) == ("one two", "stop")


async def follow(http: httpx.AsyncClient, url: str, run_id: str, received: Received, *, after: int) -> None:
    async with http.stream("GET", f"{url}/v1/runs/{run_id}/events", headers={"Last-Event-ID": str(after)}) as answer:
        assert answer.status_code == 200, await answer.aread()
        async for frame in frames(answer):
            received.take(frame)


async def test_a_client_that_leaves_and_comes_back_at_another_process(
    service: Service, http: httpx.AsyncClient
) -> None:
    """The client gets each event once, and the janitor has not cancelled the run meanwhile."""
    play, before, after = Play(service.folder, say("one "), wait("on"), say("two")), Received(), Received()
    async with anyio.create_task_group() as clients:
        clients.start_soon(stream, http, service.urls[0], play, Received())
        await wait_until(lambda: play.starts, "the agent is at work")
        clients.start_soon(lambda: follow(http, service.urls[0], play.starts[0].run, before, after=0))
        await wait_until(lambda: before.text == "one ", "the agent speaks")
        clients.cancel_scope.cancel()
    play.open("on")
    await follow(http, service.urls[1], play.starts[0].run, after, after=before.ids[-1])
    assert (before.text, after.text) == ("one ", "two")
    assert before.ids + after.ids == list(range(1, after.ids[-1] + 1))
    assert len(play.starts) == 1
