"""The condition of a Redis: what it reports about itself, and how long it takes to answer."""

from __future__ import annotations

import time
from dataclasses import dataclass

from shared.redis.pipe import Pipe, info_command


@dataclass(frozen=True)
class RedisInfo:
    """A field is None where this Redis does not report it: some hosted ones hide their INFO."""

    round_trip_ms: float
    version: str | None
    memory_bytes: int | None
    max_memory_bytes: int | None  # 0: no bound
    clients: int | None
    max_clients: int | None


async def read_redis_info(pipe: Pipe) -> RedisInfo:
    """Reads the condition now. Raises Unavailable."""
    began = time.perf_counter()
    await pipe.command("PING")
    round_trip = time.perf_counter() - began
    info = await info_command(pipe)
    return RedisInfo(
        round_trip_ms=round(round_trip * 1000, 3),
        version=server_version(info),
        memory_bytes=_number(info, "used_memory"),
        max_memory_bytes=_number(info, "maxmemory"),
        clients=_number(info, "connected_clients"),
        max_clients=_number(info, "maxclients"),
    )


def server_version(info: dict[str, str]) -> str | None:
    """Name and version of the server, such as `Valkey 8.0.1`; None when INFO has neither. Valkey reports a
    `redis_version` too, so its own comes first."""
    for name in ("valkey", "redis"):
        if version := info.get(f"{name}_version"):
            return f"{name.capitalize()} {version}"
    return None


def _number(info: dict[str, str], name: str) -> int | None:
    return int(info[name]) if info.get(name, "").isdigit() else None
