"""Redis with a replica and three sentinels, as `redis-server` and `redis-sentinel` of the machine provide them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from redis import Redis, RedisError

from tests.e2e.asking import CHAT, asked, authorised, content
from tests.e2e.play import Play, say, wait
from tests.e2e.service import Service
from tests.e2e.waiting import until
from tests.ports import free_port

pytestmark = pytest.mark.skipif(not shutil.which("redis-sentinel"), reason="needs redis-server and redis-sentinel")

STREAMS = 100


class Fleet:
    """A primary, its replica, and three sentinels."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder, self._stack = folder, stack
        self.primary, self.replica = free_port(), free_port()
        self.server = self._start("redis-server", self.primary)
        self._start("redis-server", self.replica, "--replicaof", "127.0.0.1", str(self.primary))
        until(lambda: self._link() == "up")
        self.sentinels = [free_port() for _ in range(3)]
        for port in self.sentinels:
            self._sentinel(port)
        until(lambda: all(self._sees_others(port) for port in self.sentinels))
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.sentinels)
        self.url = f"redis+sentinel://{hosts}/main/0"

    def _start(self, program: str, port: int, *options: str) -> subprocess.Popen[bytes]:
        command = [program, "--port", str(port), "--save", "", "--dir", str(self._folder), *options]
        process = self._stack.enter_context(subprocess.Popen(command, stdout=subprocess.DEVNULL))
        self._stack.callback(process.kill)
        until(lambda: _answers(port))
        return process

    def _sentinel(self, port: int) -> None:
        config = self._folder / f"sentinel-{port}.conf"
        rules = ("down-after-milliseconds main 1000", "failover-timeout main 5000")
        monitor = f"sentinel monitor main 127.0.0.1 {self.primary} 2"
        lines = [f"port {port}", f"dir {self._folder}", monitor, *(f"sentinel {rule}" for rule in rules)]
        config.write_text("\n".join(lines))
        process = subprocess.Popen(["redis-sentinel", str(config)], stdout=subprocess.DEVNULL)
        self._stack.enter_context(process)
        self._stack.callback(process.kill)
        until(lambda: _answers(port))

    def _link(self) -> str:
        with Redis(port=self.replica) as replica:
            return str(_mapping(replica.info("replication")).get("master_link_status"))

    def _sees_others(self, port: int) -> bool:
        with Redis(port=port) as sentinel:
            main = _mapping(_mapping(sentinel.sentinel_masters()).get("main"))
            return main.get("num-other-sentinels") == 2 and main.get("num-slaves") == 1

    def is_promoted(self) -> bool:
        with Redis(port=self.replica) as replica:
            return _mapping(replica.info("replication")).get("role") == "master"

    def in_step(self) -> bool:
        """Whether the replica has all that the primary confirmed: replication is asynchronous."""
        with Redis(port=self.primary) as primary:
            return bool(primary.wait(1, 100) == 1)


def _mapping(reply: object) -> dict[str, object]:
    return reply if isinstance(reply, dict) else {}


def _answers(port: int) -> bool:
    try:
        with Redis(port=port) as redis:
            return bool(redis.ping())
    except RedisError:
        return False


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with ExitStack() as stack:
        yield Fleet(tmp_path, stack)


@pytest.fixture
def guarded(fleet: Fleet, tmp_path: Path) -> Iterator[Service]:
    settings = {"REDIS_URL": fleet.url, "WORKER_CONCURRENCY": str(STREAMS), "LEASE_SECONDS": "5"}
    place = SimpleNamespace(connection_url=f"redis://127.0.0.1:{fleet.primary}")
    service = Service(place, tmp_path, settings)
    try:
        service.start(webs=2, workers=2)
        yield service
    finally:
        service.stop()


def streamed(url: str, play: Play) -> str:
    """The whole text of a stream, through the failover."""
    body = {**asked(play.message, "scripted"), "stream": True}
    text = ""
    with httpx.Client(headers=authorised(), timeout=60) as http, http.stream("POST", url + CHAT, json=body) as answer:
        for line in answer.iter_lines():
            text += line + "\n"
    assert "[DONE]" in text, text
    assert '"error"' not in text, text
    return text


def test_a_failover_under_a_hundred_open_streams_loses_none(fleet: Fleet, guarded: Service) -> None:
    plays = [guarded.play(say("one "), wait("on"), say("two")) for _ in range(STREAMS)]
    with ThreadPoolExecutor(STREAMS) as pool:
        urls = [guarded.webs[number % 2].url for number in range(STREAMS)]
        streams = [pool.submit(streamed, url, play) for url, play in zip(urls, plays, strict=True)]
        until(lambda: all(play.starts for play in plays))
        until(fleet.in_step)
        fleet.server.kill()
        until(fleet.is_promoted)
        for play in plays:
            play.open("on")
        texts = [stream.result() for stream in streams]
    assert all("one " in text and "two" in text for text in texts)
    assert [len(play.starts) for play in plays] == [1] * STREAMS
    play = guarded.play(say("Hello"))
    answer = httpx.post(guarded.url + CHAT, json=asked(play.message, "scripted"), headers=authorised(), timeout=30)
    assert content(answer) == "Hello"
