from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from redis import AuthenticationError, Redis, RedisError

from shared.redis.client import open_redis
from shared.redis.pipe import Pipe
from shared.redis.startup import check_redis
from shared.run.errors import SettingsError
from tests.broker import RealBroker
from tests.ports import free_port

pytestmark = pytest.mark.slow

CLUSTER_BUS = 10_000  # so much above its port a node of a cluster listens, too


@contextmanager
def server(binary: str, folder: Path, *options: str) -> Iterator[str]:
    """A server with these options. Yields its URL when it answers, also if it only refuses."""
    port = free_port(CLUSTER_BUS)
    command = [binary, "--port", str(port), "--save", "", "--dir", str(folder), *options]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            with Redis(port=port) as look:
                while not _responds(look):
                    assert process.poll() is None
            yield f"redis://127.0.0.1:{port}"
        finally:
            process.kill()


def _responds(look: Redis) -> bool:
    try:
        return bool(look.ping())
    except AuthenticationError:
        return True
    except RedisError:
        return False


async def test_a_database_that_is_not_there_is_told(real_broker: RealBroker) -> None:
    with pytest.raises(SettingsError, match=r"REDIS_URL: redis://127.0.0.1:\d+/99 has no database"):
        await check_redis(REDIS_URL=f"{real_broker.url}/99")
    await check_redis(REDIS_URL=f"{real_broker.url}/1")


@pytest.mark.parametrize("user", ["", ":wrong@"])
async def test_a_wrong_password_is_told_and_not_shown(valkey_binary: str, tmp_path: Path, user: str) -> None:
    with server(valkey_binary, tmp_path, "--requirepass", "right") as url:
        with pytest.raises(SettingsError, match="password") as wrong:
            await check_redis(REDIS_URL=url.replace("://", f"://{user}"))
        assert "wrong" not in str(wrong.value)
        await check_redis(REDIS_URL=url.replace("://", "://:right@"))


@pytest.mark.parametrize("setting", ["REDIS_URL", "EVENTS_REDIS_URL"])
async def test_a_cluster_is_refused(valkey_binary: str, tmp_path: Path, setting: str) -> None:
    with (
        server(valkey_binary, tmp_path, "--cluster-enabled", "yes") as url,
        pytest.raises(SettingsError, match=f"{setting}: .* a node of a cluster"),
    ):
        await check_redis(**{setting: url})


async def test_a_redis_that_is_away_is_waited_for(unused_port: int) -> None:
    await check_redis(REDIS_URL=f"redis://127.0.0.1:{unused_port}")


async def test_a_socket_of_the_machine_is_as_good_as_a_port(valkey_binary: str, tmp_path: Path) -> None:
    path = tmp_path / "redis.sock"
    with server(valkey_binary, tmp_path, "--unixsocket", str(path)):
        await check_redis(REDIS_URL=f"unix://{path}?db=2")
        async with open_redis(f"unix://{path}", max_connections=2) as redis:
            pipe = Pipe(redis)
            assert await pipe.command("PING") in (b"PONG", True)
            await pipe.aclose()
