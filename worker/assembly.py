"""Builds a worker from the settings, each part once."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import anyio
from prometheus_client import CollectorRegistry
from psutil import Process
from redis.asyncio import Redis

from shared.ledger.ledger import Ledger
from shared.ledger.presence import Announcement, Presence, ServedAgent, process_name
from shared.observe.loop_lag import LoopLag
from shared.observe.supervision import Loop, Supervisor
from shared.observe.tracing import NoTracing, Tracer
from shared.redis.keys import Keys
from shared.redis.pipe import Pipes
from shared.run.clock import now_ms
from shared.run.release import RELEASE
from shared.settings import Settings
from worker.agents.command.orphans import sweep_forever
from worker.agents.command.workdir import ROOT
from worker.agents.command.workdir_expiry import Expiry
from worker.agents.command.zombies import inherits, reap_forever
from worker.agents.kinds import AgentConfig
from worker.agents.protocol import Agent
from worker.attempt.attempt_limits import AttemptLimits
from worker.attempt.compacting_log import CompactingLog
from worker.attempt.job import Job
from worker.claim.arq_redis import PipedArqRedis
from worker.claim.control import Control
from worker.claim.doorbell import Doorbell
from worker.claim.leases import LeaseGuard, Leases
from worker.claim.run_worker import RunWorker
from worker.worker_announcer import WorkerAnnouncer
from worker.worker_metrics import WorkerMetrics

FAREWELL_SECONDS = 0.5  # for the last announcement, while Redis may be away
DISK_SECONDS = 900.0  # that a loop may spend on one folder, on the processes of a machine, or on one long log


@dataclass(frozen=True)
class Connections:
    """`bell` and `control` are clients of the ledger's Redis, each with one connection that it blocks on."""

    pipes: Pipes
    bell: Redis
    control: Redis


@dataclass(frozen=True)
class Assembled:
    """A worker and the loops that run beside its runs."""

    worker: RunWorker
    leases: Leases
    control: Control
    announcer: WorkerAnnouncer
    events: CompactingLog
    expiry: Expiry
    metrics: WorkerMetrics
    supervisor: Supervisor

    async def run(self) -> None:
        """Returns when the worker was stopped and has drained. Until then it keeps leases and follows orders."""
        loops: tuple[Loop, ...] = (
            Loop("leases", self.leases.keep),
            Loop("logs", self.leases.touch_forever),
            Loop("orders", self.control.listen),
            Loop("announcements", self.announcer.announce_forever),
            Loop("compaction", self.events.compact_forever, quiet=DISK_SECONDS),
            Loop("orphans", sweep_forever, quiet=DISK_SECONDS),
            Loop("workdirs", self.expiry.sweep_forever, quiet=DISK_SECONDS),
            Loop("lag", LoopLag(self.metrics.lagged).watch_forever),
        )
        if inherits():
            loops = (*loops, Loop("zombies", reap_forever))
        async with anyio.create_task_group() as beside:
            for loop in loops:
                beside.start_soon(self.supervisor.keep, loop, name=loop.name)
            beside.start_soon(self.supervisor.give_up_when_stuck)
            await self.worker.async_run()
            beside.cancel_scope.cancel()
        with anyio.move_on_after(FAREWELL_SECONDS):
            await self.announcer.announce()


def assemble(
    settings: Settings,
    configs: Mapping[str, AgentConfig],
    agents: Mapping[str, Agent],
    links: Connections,
    metrics: WorkerMetrics | None = None,
    tracer: Tracer | None = None,
    guard: LeaseGuard | None = None,
) -> Assembled:
    """Agents and connections belong to the caller and outlive the worker. Without `metrics` the worker has its own."""
    metrics = metrics or WorkerMetrics(CollectorRegistry(), agents=configs)
    name, keys, supervisor = process_name("worker"), Keys(settings.namespace), Supervisor(metrics)
    ledger = Ledger(links.pipes.ledger, keys)
    events = CompactingLog(links.pipes.events, keys, retention_ms=int(settings.retention_seconds * 1000))
    leases = Leases(ledger, events, lease_seconds=settings.lease_seconds, instrumentation=metrics, guard=guard)
    limits = {agent: _limits(config, settings) for agent, config in configs.items()}
    worker = RunWorker(
        Job(
            name,
            ledger,
            events,
            agents,
            limits,
            settings.lease_seconds,
            metrics,
            tracer or NoTracing(),
        ),
        leases,
        Doorbell(links.bell, keys, configs),
        redis=PipedArqRedis(links.pipes.ledger),
        serves={agent: config.policy for agent, config in configs.items()},
        slots=settings.worker_concurrency,
        lease_seconds=settings.lease_seconds,
        drain_seconds=settings.drain_seconds,
        supervisor=supervisor,
    )
    metrics.slots(settings.worker_concurrency, lambda: worker.job_counter)
    served = {agent: _served(config) for agent, config in configs.items()}
    announcement = partial(_announcement, worker, served, now_ms(), Process())
    announcer = WorkerAnnouncer(
        Presence(links.pipes.ledger, keys), announcement, obey=worker.obey, deltas=lambda: events.deltas
    )
    control = Control(links.control, keys, leases, worker=name, on_order=announcer.soon)
    expiry = Expiry(ROOT, settings.workdir_ttl_seconds)
    return Assembled(worker, leases, control, announcer, events, expiry, metrics, supervisor)


def _limits(config: AgentConfig, settings: Settings) -> AttemptLimits:
    seconds = config.timeout_seconds or settings.run_timeout_seconds
    return AttemptLimits(seconds, answer_chars=config.max_answer_chars, activity_chars=config.max_activity_chars)


def _served(config: AgentConfig) -> ServedAgent:
    return ServedAgent(kind=config.kind, description=config.description, policy=config.policy)


def _announcement(
    worker: RunWorker, served: Mapping[str, ServedAgent], since_ms: int, process: Process
) -> Announcement:
    return Announcement(
        worker=worker.name,
        host=socket.gethostname(),
        pid=os.getpid(),
        version=RELEASE,
        state=worker.state,
        slots=worker.max_jobs,
        running=worker.job_counter,
        since_ms=since_ms,
        agents=served,
        ordered=worker.ordered_to_drain,
        memory_bytes=process.memory_info().rss,
    )
