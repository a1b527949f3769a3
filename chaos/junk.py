"""Junk that no release has written, in the records and lists that all processes read. Nothing of it may harm a run."""

from __future__ import annotations

from random import Random
from uuid import uuid4

from redis.asyncio import Redis

from chaos.service import KEYS

PREFIX = "junk_"  # of the ids of runs that are none
TTL_MS = 172_800_000  # longer than what the service writes there: it must not take that with it
BOUNDED = (KEYS.queue, KEYS.checks, KEYS.deadlines, KEYS.leases)  # without a time to live, by design

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


async def spoil(look: Redis, run_id: str, random: Random) -> None:
    """Junk in one place of what Redis holds of a run: a field of its record, all of it, or its log."""
    async with look.pipeline(transaction=True) as junk:
        match random.choice(("field", "field", "field", "record", "head", "log")):
            case "field":
                junk.hset(KEYS.run(run_id), mapping={random.choice(FIELDS): random.choice(VALUES)})
                junk.pexpire(KEYS.run(run_id), TTL_MS)
            case "record":
                junk.set(KEYS.run(run_id), "no hash", px=TTL_MS)
            case "head":
                junk.hset(KEYS.head(run_id), mapping={"terminal": random.choice(VALUES)})
                junk.pexpire(KEYS.head(run_id), TTL_MS)
            case "log":
                junk.set(KEYS.stream(run_id), "no stream", px=TTL_MS)
        await junk.execute()


async def write_junk(look: Redis, random: Random) -> None:
    """A record of junk in every list, entries of no record, and orders that are none. It comes whole or not at all: a
    key whose time to live was cut off would be taken for one that the service left."""
    names = KEYS.prefixes()
    run_id = f"{PREFIX}{uuid4()}"
    fields = {name: random.choice(VALUES) for name in random.sample(FIELDS, random.randrange(1, len(FIELDS)))}
    fields["agent"] = random.choice((b"main", b"retrying", *VALUES))
    fields["state"] = random.choice((b"queued", b"running", *VALUES))
    lists = [KEYS.queue, KEYS.checks, KEYS.deadlines, KEYS.leases, KEYS.state("queued"), KEYS.state("running")]
    lists += [names[name] + "main" for name in ("ready", "line", "leased")]
    lists += [names["waiting"] + "main:chaos", names["owners"] + "main", names["turns"], names["runs"]]
    async with look.pipeline(transaction=True) as junk:
        if random.random() < 0.2:
            junk.set(KEYS.run(run_id), "no hash", px=TTL_MS)
        else:
            junk.hset(KEYS.run(run_id), mapping=dict(fields))
            junk.pexpire(KEYS.run(run_id), TTL_MS)
        for key in random.sample(lists, random.randrange(1, len(lists))):
            junk.zadd(key, {run_id: random.choice((1, 2e12))})
            junk.zadd(key, {f"{PREFIX}\udcff".encode(errors="surrogateescape"): 1})
            if key not in BOUNDED:
                junk.pexpire(key, TTL_MS)
        junk.hset(names["workers"], mapping={run_id: random.choice(VALUES)})
        junk.lpush(names["audit"], random.choice(VALUES))
        junk.hset(names["watch"], mapping={random.choice(("at", "lease")): random.choice(VALUES)})
        for name in ("workers", "audit", "watch"):
            junk.pexpire(names[name], TTL_MS)
        junk.publish(KEYS.control, random.choice(ORDERS))
        await junk.execute()
