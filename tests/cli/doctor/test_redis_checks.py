from __future__ import annotations

import pytest

from cli.doctor.redis_checks import clock, round_trip, server_checks

GOOD = {
    "redis_version": "7.2.4",
    "valkey_version": "9.1.0",
    "redis_mode": "standalone",
    "role": "master",
    "aof_enabled": "1",
    "aof_last_write_status": "ok",
    "maxmemory_policy": "noeviction",
    "used_memory": "1000",
    "maxmemory": "0",
    "connected_clients": "7",
    "maxclients": "100",
}


def levels(**changed: str) -> dict[str, str]:
    """The level of each check that is not ok, by its name."""
    found = server_checks({**GOOD, **changed}, webs=2, workers=3)
    assert all(one.do for one in found if one.level != "ok")
    return {one.check: one.level for one in found if one.level != "ok"}


def test_a_redis_that_is_as_it_should_be() -> None:
    assert levels() == {}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"redis_version": "6.2.0"}, {}),
        ({"redis_version": "6.0.16"}, {"version": "bad"}),
        ({"redis_version": "10.0.0"}, {}),
        ({"redis_mode": "cluster"}, {"role": "bad"}),
        ({"role": "slave"}, {"role": "bad"}),
        ({"aof_enabled": "0"}, {"persistence": "warn"}),
        ({"aof_enabled": "0", "rdb_last_bgsave_status": "err"}, {"persistence": "bad"}),
        ({"aof_last_write_status": "err"}, {"persistence": "bad"}),
        ({"maxmemory_policy": "allkeys-lru"}, {"eviction": "bad"}),
        ({"maxmemory": "1100"}, {"memory": "warn"}),
        ({"maxmemory": "10000"}, {}),
        ({"maxclients": "24"}, {"connections": "warn"}),
        ({"maxclients": "25"}, {}),
        ({"maxclients": ""}, {}),
    ],
)
def test_what_has_to_be_mended(changed: dict[str, str], expected: dict[str, str]) -> None:
    assert levels(**changed) == expected


def test_a_redis_that_tells_nothing() -> None:
    (only,) = server_checks({}, webs=1, workers=1)
    assert (only.level, only.check) == ("warn", "redis")


@pytest.mark.parametrize(("ms", "level"), [(0.2, "ok"), (50, "warn")])
def test_a_far_redis_is_told(ms: float, level: str) -> None:
    assert round_trip(ms).level == level


@pytest.mark.parametrize(("ms", "level"), [(0, "ok"), (-500, "ok"), (2_000, "warn"), (-2_000, "warn")])
def test_clocks_that_differ_are_told(ms: float, level: str) -> None:
    assert clock(ms).level == level
