"""The alerts that an operator should check first: everything that looks wrong, worst first. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

from api.monitor import formatting
from shared.ledger.operator_views import AdminRunView, QueueView, StatsView, WorkersView
from shared.ledger.presence import ANY

SILENT_MS = 600_000  # a coding agent thinks and builds for minutes without a word; this long it may be stuck
WAIT_MS = 15_000  # while workers have a free slot no run waits a second
LAG_MS = 250  # every stream of the process stops for this long
FULL = 0.8  # of the memory or the clients that Redis allows


@dataclass(frozen=True)
class AtWork:
    """A run at work, with the time since its start and since its last event, in ms."""

    row: AdminRunView
    running_ms: int
    silent_ms: int

    @property
    def stuck(self) -> bool:
        return self.silent_ms >= SILENT_MS


@dataclass(frozen=True)
class Alert:
    level: Literal["bad", "warn"]
    text: str
    link: str
    act: str  # what the link leads to


def alerts(stats: StatsView, workers: WorkersView, queue: QueueView, longest: Sequence[AtWork]) -> tuple[Alert, ...]:
    found = (
        *_unserved(workers, queue),
        *_lost(workers),
        *_stuck(longest),
        *_paused(queue),
        *_late(stats),
        *_redis(stats),
        *_lagging(workers),
    )
    return tuple(sorted(found, key=lambda alert: alert.level))  # "bad" before "warn"


def _stuck(longest: Sequence[AtWork]) -> Iterator[Alert]:
    """One alert, however many runs there are: on a phone a card for each would hide all else."""
    stuck = sorted((one for one in longest if one.stuck), key=lambda one: -one.silent_ms)
    if not stuck:
        return
    run, silent = stuck[0].row, formatting.format_duration(stuck[0].silent_ms)
    if len(stuck) == 1:
        text = f"Run {formatting.short_id(run.id)} of {run.agent} has said nothing for {silent}"
        yield Alert("warn", text, f"/monitor/runs/{run.id}", "Look at the run")
    else:
        some = f"{len(stuck)} runs" if len(stuck) < len(longest) else f"At least {len(stuck)} runs"
        text = f"{some} have said nothing for over {formatting.format_duration(SILENT_MS)}, the longest for {silent}"
        yield Alert("warn", text, "/monitor/runs?state=running", "Look at running runs")


def _unserved(workers: WorkersView, queue: QueueView) -> Iterator[Alert]:
    served = {agent for worker in workers.workers if worker.state == "serving" for agent in worker.agents}
    if not served:
        yield Alert("bad", "No worker takes runs", "/monitor/workers", "Look at the workers")
        return
    for agent in queue.agents:
        if agent.waiting and not served & {agent.agent, ANY}:
            text = f"{formatting.format_number(agent.waiting)} runs wait for {agent.agent}, which no worker serves"
            yield Alert("bad", text, f"/monitor/runs?state=queued&agent={quote(agent.agent)}", "Look at these runs")


def _lost(workers: WorkersView) -> Iterator[Alert]:
    lost = [worker for worker in workers.workers if worker.state == "lost"]
    if lost:
        text = f"Worker {lost[0].name} was lost" if len(lost) == 1 else f"{len(lost)} workers were lost"
        yield Alert("warn", text, "/monitor/workers", "Look at the workers")


def _paused(queue: QueueView) -> Iterator[Alert]:
    if queue.paused:
        yield Alert("warn", f"The queue is paused by {queue.paused.who}", "/monitor/queue", "Look at the queue")
    for agent in queue.agents:
        if agent.paused:
            yield Alert(
                "warn", f"Agent {agent.agent} is paused by {agent.paused.who}", "/monitor/queue", "Look at the queue"
            )


def _late(stats: StatsView) -> Iterator[Alert]:
    if stats.now.oldest_wait_ms >= WAIT_MS:
        text = f"A run has waited {formatting.format_duration(stats.now.oldest_wait_ms)} for a worker"
        yield Alert("warn", text, "/monitor/runs?state=queued", "Look at waiting runs")


def _redis(stats: StatsView) -> Iterator[Alert]:
    redis = stats.redis
    for name, used, most in (
        ("memory", redis.memory_bytes, redis.max_memory_bytes),
        ("connections", redis.clients, redis.max_clients),
    ):
        if used and most and used >= FULL * most:
            yield Alert("bad", f"Redis uses {used / most:.0%} of its {name}", "#redis", "Look at Redis")


def _lagging(workers: WorkersView) -> Iterator[Alert]:
    for web in workers.webs:
        if web.state == "serving" and web.lag_ms >= LAG_MS:
            text = f"API process {web.name} was held up for {formatting.format_duration(web.lag_ms)}"
            yield Alert("warn", text, "/monitor/workers", "Look at the processes")
