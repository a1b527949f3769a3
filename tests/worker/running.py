"""A whole worker inside the test process."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import anyio
from redis.asyncio import Redis

from shared.ledger.ledger import Ledger
from shared.ledger.presence import Announcement, Presence
from shared.log.event_log import EventLog
from shared.observe.supervision import Beat
from shared.redis.pipe import Pipe
from shared.run.run import Policy
from tests.broker import KEYS, Broker, opened_client
from worker.agents.protocol import Agent
from worker.attempt.attempt_limits import AttemptLimits
from worker.attempt.job import Job
from worker.claim.arq_redis import PipedArqRedis
from worker.claim.control import Control
from worker.claim.doorbell import POLL_SECONDS, Doorbell
from worker.claim.leases import Leases
from worker.claim.run_worker import RunWorker
from worker.worker_announcer import WorkerAnnouncer


class HeardDoorbell(Doorbell):
    """A doorbell that shows when the worker sleeps."""

    sleeping: anyio.Event

    async def wait(self) -> None:
        self.sleeping.set()
        await super().wait()


@dataclass
class Crew:
    """A worker with the loops beside it. `redis` is the client that its pipe uses."""

    worker: RunWorker
    leases: Leases
    control: Control
    announcer: WorkerAnnouncer
    ledger: Ledger
    log: EventLog
    redis: Redis
    sleeping: anyio.Event
    ended: anyio.Event = field(default_factory=anyio.Event)

    def signal(self) -> None:
        self.worker.handle_sig(signal.SIGTERM)

    async def work(self) -> None:
        async with anyio.create_task_group() as beside:
            beside.start_soon(self.leases.keep, Beat())
            beside.start_soon(self.control.listen, Beat())
            beside.start_soon(self.announcer.announce_forever, Beat())
            await self.worker.async_run()
            beside.cancel_scope.cancel()
        self.ended.set()


def announcement(worker: RunWorker) -> Announcement:
    return Announcement(
        worker=worker.name,
        host="h",
        pid=1,
        version="1",
        state=worker.state,
        slots=worker.max_jobs,
        running=worker.job_counter,
        since_ms=0,
        agents={},
        ordered=worker.ordered_to_drain,
    )


@asynccontextmanager
async def crew(
    broker: Broker,
    agents: Mapping[str, Agent],
    *,
    name: str = "w1",
    job: type[Job] = Job,
    slots: int = 10,
    poll_seconds: float = POLL_SECONDS,
    lease_seconds: float = 60,
    drain_seconds: float = 0,
) -> AsyncIterator[Crew]:
    """A worker that does not run yet."""
    async with (
        opened_client(broker) as client,
        opened_client(broker, connections=1) as bell,
        opened_client(broker, connections=1) as control,
    ):
        pipe = Pipe(client)
        ledger, log = Ledger(pipe, KEYS), EventLog(pipe, KEYS, retention_ms=60_000)
        leases = Leases(ledger, log, lease_seconds=lease_seconds)
        doorbell = HeardDoorbell(bell, KEYS, agents, poll_seconds=poll_seconds)
        doorbell.sleeping = anyio.Event()
        worker = RunWorker(
            job(name, ledger, log, agents, dict.fromkeys(agents, AttemptLimits(60)), lease_seconds),
            leases,
            doorbell,
            redis=PipedArqRedis(pipe),
            serves=dict.fromkeys(agents, Policy()),
            slots=slots,
            lease_seconds=lease_seconds,
            drain_seconds=drain_seconds,
        )
        announcer = WorkerAnnouncer(
            Presence(pipe, KEYS), partial(announcement, worker), obey=worker.obey, deltas=lambda: 0
        )
        orders = Control(control, KEYS, leases, worker=name, on_order=announcer.soon)
        yield Crew(worker, leases, orders, announcer, ledger, log, client, doorbell.sleeping)
        await pipe.aclose()


@asynccontextmanager
async def working(crew: Crew) -> AsyncIterator[Crew]:
    """Runs the worker during the block. At the end it sends two signals to stop, and waits for the worker's end."""
    async with anyio.create_task_group() as group:
        group.start_soon(crew.work)
        yield crew
        crew.signal()
        crew.signal()
