"""Checks whether Redis lets its user do all that the service does: each command, on keys and channels of the doctor's
own that look like the service's, and that it deletes at once. A test compares the commands with those of the code."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
from redis.asyncio import Redis

from cli.doctor.finding import Finding, bad, ok
from shared.redis.client import Argument, open_link, redis_errors_as_unavailable
from shared.redis.keys import Keys
from shared.redis.pipe import Pipe
from shared.run.errors import Unavailable

TTL_MS = 10_000
CONFIRM_SECONDS = 2.0

Command = tuple[str, tuple[Argument, ...]]

_SCRIPT = "return redis.call('TIME')"


def tried(key: str, channel: str) -> Sequence[Command]:
    """Every command of the service. `key` begins the names of the keys."""
    string, mapping, items, ranks, stream = (f"{key}:{kind}" for kind in ("string", "hash", "list", "zset", "stream"))
    return (
        ("PING", ()),
        ("TIME", ()),
        ("INFO", ("server",)),
        ("EVAL", (_SCRIPT, 0)),
        ("EVALSHA", ("0" * 40, 0)),
        ("SET", (string, "1", "PX", TTL_MS)),
        ("GET", (string,)),
        ("GETDEL", (string,)),
        ("TYPE", (string,)),
        ("EXISTS", (string,)),
        ("HSET", (mapping, "f", "1")),
        ("PEXPIRE", (mapping, TTL_MS)),
        ("PTTL", (mapping,)),
        ("HSETNX", (mapping, "f", "1")),
        ("HINCRBY", (mapping, "f", 1)),
        ("HGET", (mapping, "f")),
        ("HMGET", (mapping, "f")),
        ("HGETALL", (mapping,)),
        ("HKEYS", (mapping,)),
        ("HLEN", (mapping,)),
        ("HEXISTS", (mapping, "f")),
        ("HDEL", (mapping, "f")),
        ("RPUSH", (items, "1", "2", "3")),
        ("LPUSH", (items, "0")),
        ("PEXPIRE", (items, TTL_MS)),
        ("LINDEX", (items, 0)),
        ("LLEN", (items,)),
        ("LRANGE", (items, 0, -1)),
        ("LREM", (items, 0, "3")),
        ("LTRIM", (items, 0, 1)),
        ("LPOP", (items,)),
        ("BLPOP", (items, 1)),
        ("ZADD", (ranks, 1, "m", 2, "n")),
        ("PEXPIRE", (ranks, TTL_MS)),
        ("ZCARD", (ranks,)),
        ("ZSCORE", (ranks, "m")),
        ("ZRANK", (ranks, "m")),
        ("ZRANGE", (ranks, 0, -1)),
        ("ZREVRANGE", (ranks, 0, -1)),
        ("ZRANGEBYSCORE", (ranks, "-inf", "+inf")),
        ("ZREVRANGEBYSCORE", (ranks, "+inf", "-inf")),
        ("ZREMRANGEBYSCORE", (ranks, "-inf", 1)),
        ("ZREM", (ranks, "n")),
        ("XADD", (stream, "0-1", "e", "1")),
        ("PEXPIRE", (stream, TTL_MS)),
        ("XRANGE", (stream, "-", "+")),
        ("XREVRANGE", (stream, "+", "-")),
        ("PUBLISH", (channel, "1")),
        ("PUBSUB", ("NUMSUB", channel)),
        ("DEL", (string, mapping, items, ranks, stream)),
    )


async def permissions(redis: Redis, pipe: Pipe, keys: Keys) -> list[Finding]:
    """A finding for the ledger's keys, for arq's, and for the logs'. Raises Unavailable."""
    ledger = f"{{{keys.namespace}}}:doctor"
    return [
        await _permission(redis, pipe, "ledger", ledger, ledger),
        await _permission(redis, pipe, "arq", f"{keys.prefixes()['job']}doctor", ledger),
        await _permission(redis, pipe, "logs", keys.head("doctor"), keys.channel("doctor")),
    ]


async def _permission(redis: Redis, pipe: Pipe, place: str, key: str, channel: str) -> Finding:
    refused = dict[str, str]()
    for name, arguments in tried(key, channel):
        _, why = await pipe.attempt(name, *arguments)
        if why and not (name == "EVALSHA" and why.startswith(("NOSCRIPT", "No matching script"))):
            refused.setdefault(name, why)
    if why := await _subscription_refusal(redis, channel):
        refused["SUBSCRIBE"] = why
    check = f"permissions ({place})"
    if not refused:
        return ok(check, f"keys and channels like {key}")
    names, why = ", ".join(refused), next(iter(refused.values()))
    return bad(check, f"refused: {names} ({why})", f"Allow the user these on keys and channels like {key}.")


async def _subscription_refusal(redis: Redis, channel: str) -> str:
    """Why Redis refuses the channel; an empty text when it confirms it."""
    try:
        with redis_errors_as_unavailable(), anyio.fail_after(CONFIRM_SECONDS):
            async with open_link(redis) as link:
                link.subscribe(channel)
                await link.read()
    except (Unavailable, TimeoutError) as why:
        return str(why) or "no confirmation"
    return ""
