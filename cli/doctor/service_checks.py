"""Checks of the service's processes and queue, by what they keep in Redis. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from cli.doctor.finding import Finding, bad, ok, warn
from cli.text_format import duration
from shared.ledger.operations import Pause
from shared.ledger.presence import ANY, SeenWeb, SeenWorker, live_agents
from shared.ledger.queue_depth import FleetDepth
from shared.redis.keys import ALL

LONG_WAIT_MS = 60_000


def workers(seen: Sequence[SeenWorker]) -> Finding:
    live = [one.announcement for one in seen if one.live]
    if not live:
        return bad("workers", "none takes runs", "Start one (`python -m worker`), or resume one that drains.")
    busy, slots = sum(one.running for one in live), sum(one.slots for one in live)
    summary = f"{len(live)} with {busy} of {slots} slots at work"
    if busy >= slots:
        return warn("workers", summary, "Every slot is taken: start more workers, or raise WORKER_CONCURRENCY.")
    return ok("workers", summary)


def webs(seen: Sequence[SeenWeb]) -> Finding:
    live = [one for one in seen if one.live]
    if not live:
        return bad("web", "no API process", "Start one (`python -m api`).")
    return ok("web", f"{len(live)} with {sum(one.announcement.streams for one in live)} streams")


def releases(seen: Iterable[SeenWorker], web: Iterable[SeenWeb]) -> Finding:
    versions = {one.announcement.version for one in seen if one.live}
    versions |= {one.announcement.version for one in web if one.live}
    summary = ", ".join(sorted(versions)) or "-"
    if len(versions) > 1:
        return warn("releases", summary, "Fine during a deploy; if it stays so, some processes were not restarted.")
    return ok("releases", summary)


def agents(seen: Sequence[SeenWorker], depth: FleetDepth) -> Finding:
    """A run whose agent no worker serves waits until it fails with `queue_timeout`."""
    served = live_agents(seen)
    wanting = [name for name, load in depth.agents.items() if load.waiting and name not in served and ANY not in served]
    summary = ", ".join(sorted(served)) or "none"
    if wanting:
        names = ", ".join(sorted(wanting))
        return bad("agents", f"served: {summary}; waited for: {names}", f"Start a worker that serves {names}.")
    return ok("agents", summary)


def queue(depth: FleetDepth, paused: Mapping[str, Pause]) -> Finding:
    total = depth.total
    summary = f"{total.waiting} waiting, {total.held} held, {total.in_line} in line, {total.running} running"
    if paused:
        what = "all of it" if ALL in paused else ", ".join(sorted(paused))
        return warn(
            "queue", f"{summary}; paused: {what}", "`runrelay queue resume`, when the pause is not needed any more."
        )
    if total.oldest_wait_ms > LONG_WAIT_MS:
        summary += f"; the oldest waits for {duration(total.oldest_wait_ms)}"
        return warn("queue", summary, "Start more workers, or look at what those do (`runrelay top`).")
    return ok("queue", summary)
