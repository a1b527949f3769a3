"""How a Redis is: what it says of itself, and how long it takes to answer."""

from __future__ import annotations

import time
from dataclasses import dataclass

from shared.redis.pipe import Pipe, info_command


@dataclass(frozen=True)
class RedisInfo:
    """None where this Redis does not say: not every hosted one tells everybody."""

    round_trip_ms: float
    version: str | None
    memory_bytes: int | None
    max_memory_bytes: int | None  # 0: no bound
    clients: int | None
    max_clients: int | None


async def read_redis_info(pipe: Pipe) -> RedisInfo:
    """Raises Unavailable."""
    asked = time.perf_counter()
    await pipe.command("PING")
    round_trip = time.perf_counter() - asked
    said = await info_command(pipe)
    return RedisInfo(
        round_trip_ms=round(round_trip * 1000, 3),
        version=server_version(said),
        memory_bytes=_number(said, "used_memory"),
        max_memory_bytes=_number(said, "maxmemory"),
        clients=_number(said, "connected_clients"),
        max_clients=_number(said, "maxclients"),
    )


def server_version(said: dict[str, str]) -> str | None:
    """Valkey calls itself a Redis, too."""
    for name in ("valkey", "redis"):
        if version := said.get(f"{name}_version"):
            return f"{name.capitalize()} {version}"
    return None


def _number(said: dict[str, str], name: str) -> int | None:
    return int(said[name]) if said.get(name, "").isdigit() else None
