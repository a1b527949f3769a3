"""Checks whether the Redis user may run the service's commands: runs each one, on keys that it deletes at once."""

from __future__ import annotations

from collections.abc import Sequence

from cli.doctor.finding import Finding, bad, ok
from shared.redis.client import Argument
from shared.redis.keys import Keys
from shared.redis.pipe import Pipe, command_refusal

TTL_MS = 10_000

_SCRIPT = "return redis.call('TIME')"


def _tried(key: str, channel: str) -> Sequence[tuple[str, tuple[Argument, ...]]]:
    return (
        ("SET", (key, "1", "PX", TTL_MS)),
        ("GET", (key,)),
        ("DEL", (key,)),
        ("HSET", (key, "f", "1")),
        ("HGETALL", (key,)),
        ("PEXPIRE", (key, TTL_MS)),
        ("DEL", (key,)),
        ("RPUSH", (key, "1")),
        ("BLPOP", (key, 1)),
        ("ZADD", (key, 1, "m")),
        ("ZRANGEBYSCORE", (key, "-inf", "+inf")),
        ("DEL", (key,)),
        ("XADD", (key, "0-1", "e", "1")),
        ("XRANGE", (key, "-", "+")),
        ("DEL", (key,)),
        ("PUBLISH", (channel, "1")),
        ("TIME", ()),
        ("EVAL", (_SCRIPT, 0)),
    )


async def permissions(pipe: Pipe, keys: Keys) -> list[Finding]:
    """A finding for the ledger's keys and one for the logs' keys. Raises Unavailable."""
    return [
        await _permission(pipe, "ledger", f"{{{keys.namespace}}}:doctor", keys.control),
        await _permission(pipe, "logs", keys.head("doctor"), keys.channel("doctor")),
    ]


async def _permission(pipe: Pipe, place: str, key: str, channel: str) -> Finding:
    tried = [(name, await command_refusal(pipe, name, *arguments)) for name, arguments in _tried(key, channel)]
    refused = {name: why for name, why in tried if why}
    check = f"permissions ({place})"
    if not refused:
        return ok(check, f"keys like {key}")
    names, why = ", ".join(refused), next(iter(refused.values()))
    return bad(check, f"refused: {names} ({why})", f"Allow the user these commands on keys and channels like {key}.")
