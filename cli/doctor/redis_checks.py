"""Checks of a Redis server, by its answer to INFO, its round trip and its clock. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from cli.doctor.finding import Finding, bad, ok, warn
from cli.text_format import duration, size
from shared.redis.info import server_version

OLDEST = (6, 2)
SLOW_MS = 20.0  # a round trip; each of a run's first steps takes one
SKEW_MS = 1_000.0  # between this machine's clock and that of Redis
FULL = 0.8  # of the memory it may have
WEB_LINKS, WORKER_LINKS = 3, 4  # connections that each process keeps

Info = Mapping[str, str]


def server_checks(info: Info, *, webs: int, workers: int) -> list[Finding]:
    """The checks that need INFO. `webs` and `workers` are the numbers of live processes."""
    if not info:
        seen = "it does not tell (INFO is not allowed)"
        return [warn("redis", seen, "Ask its provider: version >= 6.2, persistence, maxmemory-policy noeviction.")]
    checks: tuple[Callable[[Info], Finding], ...] = (version, role, persistence, eviction, memory)
    return [*(check(info) for check in checks), connections(info, webs=webs, workers=workers)]


def version(info: Info) -> Finding:
    """Valkey reports the version of the Redis that it is compatible with as `redis_version`."""
    name = server_version(dict(info)) or "unknown"
    if tuple(map(int, re.findall(r"\d+", info.get("redis_version", ""))[:2])) >= OLDEST:
        return ok("version", name)
    return bad("version", name, "Use Redis 6.2 or later, or Valkey.")


def role(info: Info) -> Finding:
    """The ledger needs a single primary: its scripts touch keys of every slot, and a replica takes no writes."""
    mode, role = info.get("redis_mode", "standalone"), info.get("role", "master")
    if mode == "cluster":
        return bad("role", "a cluster", "Point it at a single primary, with replicas and Sentinel if need be.")
    if role != "master":
        return bad("role", "a replica", "Point REDIS_URL at the primary.")
    return ok("role", f"primary, {mode}")


def persistence(info: Info) -> Finding:
    if info.get("aof_enabled") == "1":
        if info.get("aof_last_write_status", "ok") != "ok":
            return bad("persistence", "the append-only file cannot be written", "Look for a full disk on its machine.")
        return ok("persistence", "append-only file")
    if info.get("rdb_last_bgsave_status", "ok") != "ok":
        return bad("persistence", "snapshots fail", "Look for a full disk on its machine; and set appendonly yes.")
    return warn("persistence", "no append-only file", "Set appendonly yes, or accepted runs may be lost with Redis.")


def eviction(info: Info) -> Finding:
    policy = info.get("maxmemory_policy", "noeviction")
    if policy == "noeviction":
        return ok("eviction", policy)
    return bad("eviction", policy, "Set maxmemory-policy noeviction: else runs are thrown away when memory is short.")


def memory(info: Info) -> Finding:
    used, most = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    seen = f"{size(used)} of {size(most) if most else 'all there is'}"
    if most and used > FULL * most:
        return warn("memory", seen, "Give it more, or shorten RETENTION_SECONDS: when it is full, nothing is accepted.")
    return ok("memory", seen)


def connections(info: Info, *, webs: int, workers: int) -> Finding:
    """A deploy needs twice the connections: it starts new processes before the old ones have ended."""
    if not info.get("maxclients"):
        return ok("connections", f"{info.get('connected_clients', 'unknown')} now; it does not tell how many it allows")
    now, most = int(info.get("connected_clients", 0)), int(info["maxclients"])
    kept = webs * WEB_LINKS + workers * WORKER_LINKS
    seen = f"{now} of {most}; {webs} web and {workers} worker processes keep {kept}"
    if now + kept > most:
        return warn("connections", seen, "A deploy that doubles the processes finds too few: allow more, or run fewer.")
    return ok("connections", seen)


def round_trip(ms: float) -> Finding:
    if ms > SLOW_MS:
        return warn("round trip", duration(ms), "Run web and worker processes near Redis: each start waits for it.")
    return ok("round trip", duration(ms))


def clock(skew_ms: float) -> Finding:
    """A skew breaks no run, because leases and waits use the clock of Redis only, but the times on display do not add
    up.
    """
    seen = f"{duration(abs(skew_ms))} apart from this machine"
    if abs(skew_ms) > SKEW_MS:
        return warn("clock", seen, "Set both clocks (NTP): times of events are those of web and worker processes.")
    return ok("clock", seen)
