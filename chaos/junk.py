"""Junk that no release has written, in the records and lists that all processes read. Nothing of it may harm a run."""

from __future__ import annotations

from random import Random
from uuid import uuid4

from redis.asyncio import Redis

from chaos.service import KEYS
from shared.redis.pipe import Pipe

PREFIX = "junk_"  # of the ids of runs that are none
TTL_MS = 120_000

VALUES = (
    b"",
    b"junk",
    b"\xff\xfe\x00",
    b"nan",
    b"1e400",
    b"9" * 5_000,
    b"-1",
    b"[" * 3_000,
    b'{"a":' * 300,
    b"{}",
    b"null",
)
FIELDS = [
    "v",
    "state",
    "agent",
    "session",
    "owner",
    "bell",
    "spec",
    "keep",
    "patience",
    "attempt",
    "tries",
    "queued",
    "queued_until",
    "at",
    "ready",
    "place",
    "policy",
    "cancel",
    "token",
    "begun",
    "losses",
]
ORDERS = (b"junk", b"{}", b"[" * 5_000, b"\xff", b'{"run": 7, "stop": "never"}', b'{"worker": null}')


async def write_junk(look: Redis, random: Random) -> None:
    """A record of junk in every list, entries of no record, and orders that are none."""
    pipe, names = Pipe(look), KEYS.prefixes()
    run_id = f"{PREFIX}{uuid4()}"
    fields = {name: random.choice(VALUES) for name in random.sample(FIELDS, random.randrange(1, len(FIELDS)))}
    fields["agent"] = random.choice((b"main", b"retrying", *VALUES))
    fields["state"] = random.choice((b"queued", b"running", *VALUES))
    if random.random() < 0.2:
        await pipe.command("SET", KEYS.run(run_id), "no hash", "PX", TTL_MS)
    else:
        for name, value in fields.items():
            await pipe.command("HSET", KEYS.run(run_id), name, value)
        await pipe.command("PEXPIRE", KEYS.run(run_id), TTL_MS)
    lists = [KEYS.queue, KEYS.checks, KEYS.deadlines, KEYS.leases, KEYS.state("queued"), KEYS.state("running")]
    lists += [names[name] + "main" for name in ("ready", "line", "leased")]
    lists += [names["waiting"] + "main:chaos", names["owners"] + "main", names["turns"], names["runs"]]
    for key in random.sample(lists, random.randrange(1, len(lists))):
        await pipe.command("ZADD", key, random.choice((1, 2e12)), run_id)
        await pipe.command("ZADD", key, 1, f"{PREFIX}\udcff".encode(errors="surrogateescape"))
        if key not in (KEYS.queue, KEYS.checks, KEYS.deadlines, KEYS.leases):
            await pipe.command("PEXPIRE", key, 3_600_000)
    await pipe.command("HSET", names["workers"], run_id, random.choice(VALUES))
    await pipe.command("LPUSH", names["audit"], random.choice(VALUES))
    await pipe.command("PEXPIRE", names["audit"], TTL_MS)
    await pipe.command("HSET", names["watch"], random.choice(("at", "lease")), random.choice(VALUES))
    await pipe.command("PUBLISH", KEYS.control, random.choice(ORDERS))
    await pipe.aclose()
