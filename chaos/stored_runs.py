"""Reads the runs of a round from Redis, without the service, into values."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Collection, Mapping
from typing import cast

from redis.asyncio import Redis

from chaos.history import Entry, StoredRun
from chaos.junk import PREFIX
from chaos.script import Order
from chaos.service import KEYS
from shared.log.packing import unpack

BOUNDED = frozenset({KEYS.queue, KEYS.checks, KEYS.deadlines, KEYS.leases, KEYS.paused, KEYS.prefixes()["attended"]})


async def read_stored_runs(look: Redis, *, spoilt: Collection[str]) -> list[StoredRun]:
    """All runs but those whose records a fault has spoilt."""
    ids = [run_id.decode() async for run_id in _ids(look) if not _is_junk(run_id) and run_id.decode() not in spoilt]
    return [await _stored_run(look, run_id) for run_id in ids]


async def _ids(look: Redis) -> AsyncIterator[bytes]:
    """The ids of all run records."""
    prefix = KEYS.run("").encode()
    async for key in look.scan_iter(match=prefix + b"*", count=1_000):
        yield key.removeprefix(prefix)


async def _stored_run(look: Redis, run_id: str) -> StoredRun:
    # In redis-py's annotations these two results may also be plain values.
    fields = cast("Awaitable[dict[bytes, bytes]]", look.hgetall(KEYS.run(run_id)))
    end = cast("Awaitable[bytes | None]", look.hget(KEYS.head(run_id), "terminal"))
    record = {name.decode(): value.decode() for name, value in (await fields).items()}
    spec = json.loads(record["spec"])
    terminal = json.loads(await end or "{}")
    stream = await look.xrange(KEYS.stream(run_id))
    entries = [entry for id, fields in stream for entry in _entries(id, fields)]
    return StoredRun(
        run_id=run_id,
        order=Order.of(spec["message"]),
        agent=record["agent"],
        session=record["session"],
        state=record["state"],
        code=record.get("code", ""),
        attempts=int(record["attempt"]),
        tries=int(record["tries"]),
        accepted=int(record["queued"]),
        end_state=terminal.get("state", ""),
        end_text=terminal.get("text", ""),
        entries=tuple(entries),
    )


def _entries(id: bytes, fields: Mapping[bytes, bytes]) -> list[Entry]:
    """The events of one entry of the stream. The id of the entry has the number of its last event."""
    entries = [_entry(raw.decode()) for raw in unpack(fields)]
    assert id.decode() == f"0-{entries[-1].seq}", (id, fields)
    return entries


def _entry(raw: str) -> Entry:
    event = json.loads(raw)
    data = event["data"]
    return Entry(
        seq=event["seq"],
        stream=event["stream"],
        attempt=event["attempt"],
        at=event["ts"],
        raw=raw,
        phase=data.get("phase", ""),
        delta=data.get("delta", "") if event["stream"] == "assistant" else "",
        message=data.get("message", 0),
        worker=data.get("worker", ""),
        code=data.get("code", ""),
        reason=data.get("reason") or "",
    )


async def immortal_keys(look: Redis) -> list[str]:
    """Keys that would stay for ever: they have no time to live, and nothing else bounds them."""
    keys = [key async for key in look.scan_iter(count=1_000)]
    bounded = {name.encode() for name in BOUNDED}
    return [repr(key) for key in keys if key not in bounded and await look.ttl(key) == -1]


def _is_junk(run_id: bytes) -> bool:
    return run_id.startswith(PREFIX.encode())


async def waiting(look: Redis) -> list[str]:
    """The runs that still wait, run, or have a reader, each with the key it is in; and paused agents."""
    found = []
    for name in sorted(BOUNDED):
        found += [f"{name}: {run_id!r}" for run_id in await look.zrange(name, 0, -1) if not _is_junk(run_id)]
    return found
