from __future__ import annotations

import pytest

from shared.redis.info import read_redis_info, server_version
from shared.redis.pipe import Pipe
from shared.run.errors import Unavailable
from tests.broker import Broker, FakeBroker
from tests.lossy import LossyPipe


async def test_what_a_redis_says_of_itself(broker: Broker, pipe: Pipe) -> None:
    """A fake Redis reports nothing, as some hosted ones do."""
    seen = await read_redis_info(pipe)
    assert seen.round_trip_ms > 0
    if isinstance(broker, FakeBroker):
        assert (seen.version, seen.memory_bytes, seen.clients) == (None, None, None)
        return
    assert (seen.version or "").startswith(("Valkey ", "Redis "))
    assert (seen.memory_bytes or 0) > 0
    assert (seen.clients or 0) > 0
    assert seen.max_memory_bytes == 0


async def test_a_redis_that_is_away_is_told(pipe: Pipe) -> None:
    with pytest.raises(Unavailable):
        await read_redis_info(LossyPipe(pipe.redis, ["before"]))


@pytest.mark.parametrize(
    ("info", "name"),
    [
        ({"redis_version": "7.2.4", "valkey_version": "9.1.0"}, "Valkey 9.1.0"),
        ({"redis_version": "6.2.0"}, "Redis 6.2.0"),
        ({}, None),
    ],
)
def test_a_server_has_a_name(info: dict[str, str], name: str | None) -> None:
    assert server_version(info) == name
