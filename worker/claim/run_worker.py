"""An arq worker for runs.

arq keeps its registry of tasks and slots, its counters, its health record and its keys. The differences and their
reasons:
- `main` sends no INFO at the start, because not every Redis has it. No error of Redis ends the process.
- `_poll_iteration` claims as many runs as there are free slots with one script, which gives each a lease. Stock arq
  takes a lock per job for the job's whole timeout, and keeps running jobs in the window that it polls. Between claims
  the worker waits at the doorbell.
- `worker/attempt/job.py` executes a claimed run and ends it in the log and the ledger. arq's `run_job` would bypass
  every hook on its early failures, count a deploy as a try, and let any worker finish any job.
- Signals: quiet, drain, stop. An operator's order to drain makes the worker quiet until the operator revokes it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from signal import Signals
from typing import Any, Literal

import anyio
import structlog
from arq.connections import ArqRedis
from arq.worker import Worker, func

from shared.ledger.ledger import JOB, Claim
from shared.ledger.presence import WorkerOrder
from shared.observe.logging import run_fields
from shared.observe.supervision import Beat, Loop, Supervisor
from shared.redis.client import redis_errors_as_unavailable
from shared.redis.outage import Outage
from shared.run.errors import Unavailable
from shared.run.events import StopReason
from shared.run.run import Policy
from worker.attempt.execution import Execution
from worker.attempt.job import Job
from worker.claim.doorbell import POLL_SECONDS, Doorbell
from worker.claim.leases import Leases

logger = structlog.get_logger()

CANCEL_SECONDS = 0.5  # for tasks that were cancelled
STOP_SECONDS = 8.0  # for ending agents and writing their ends, after the drain
AWAY_SECONDS = 2.0  # a Redis that does not answer for this long after the drain gets no ends of runs


async def run_agent(ctx: dict[Any, Any], run_id: str) -> None:
    """Names runs in arq's queue. It raises, so that a stock arq worker that takes a run cannot report it as done."""
    raise NotImplementedError(f"{run_id} can only be run by a runrelay worker")


class RunWorker(Worker):
    """Runs agents until a signal stops it. Resources belong to the caller; `main` owns every task it starts."""

    def __init__(
        self,
        job: Job,
        leases: Leases,
        doorbell: Doorbell,
        *,
        redis: ArqRedis,
        serves: Mapping[str, Policy],
        slots: int,
        lease_seconds: float,
        drain_seconds: float,
        supervisor: Supervisor | None = None,
    ) -> None:
        super().__init__(
            [func(run_agent, name=JOB)],
            queue_name=job.ledger.keys.queue,
            redis_pool=redis,
            max_jobs=slots,
            handle_signals=False,
            health_check_interval=60,
        )
        self._job = job
        self._leases = leases
        self._doorbell = doorbell
        self._serves = serves
        self._lease_ms = int(lease_seconds * 1000)
        self._drain_seconds = drain_seconds
        self._supervisor = supervisor or Supervisor()
        self._taking = anyio.CancelScope()
        self._draining = anyio.CancelScope()
        self._slot_freed = anyio.Event()
        self._drained = False
        self._outage = Outage("redis")
        self._may_take = anyio.Event()
        self._may_take.set()

    @property
    def name(self) -> str:
        return self._job.worker

    @property
    def state(self) -> Literal["serving", "draining", "gone"]:
        if not self._taking.cancel_called:
            return "draining" if self.ordered_to_drain else "serving"
        return "gone" if self._drained else "draining"

    @property
    def ordered_to_drain(self) -> bool:
        return not self._may_take.is_set()

    def obey(self, order: WorkerOrder) -> bool:
        """Makes the worker claim runs, or claim none until the next order. Returns False when it did so already."""
        if (order is WorkerOrder.DRAIN) == self.ordered_to_drain:
            return False
        logger.info("worker.ordered", order=order.value or "serve", running=self.job_counter)
        if order is WorkerOrder.DRAIN:
            self._may_take = anyio.Event()
        else:
            self._may_take.set()
        return True

    # --- claiming runs ------------------------------------------------------------------------------------------------

    async def main(self) -> None:
        """Claims runs until `handle_sig`, then drains, then returns."""
        with self._taking:
            await self._supervisor.keep(Loop("claims", self._poll_forever))
        await self._drain()

    async def _poll_forever(self, beat: Beat) -> None:
        while True:
            beat()
            await self._poll_iteration()

    async def _poll_iteration(self) -> None:
        try:
            free = await self._free_slots()
            if self.ordered_to_drain:
                with anyio.move_on_after(POLL_SECONDS):
                    await self._may_take.wait()
            elif free and len(await self._claim(free)) < free:
                await self._doorbell.wait()
            with redis_errors_as_unavailable():
                await self.heart_beat()
            self._outage.worked()
        except Unavailable as away:
            self._outage.failed(away)
            await anyio.sleep(POLL_SECONDS / 2)

    async def _free_slots(self) -> int:
        """How many runs may start now. With no free slot it waits for one, POLL_SECONDS at most."""
        if self.job_counter == self.max_jobs:
            self._slot_freed = anyio.Event()
            with anyio.move_on_after(POLL_SECONDS):
                await self._slot_freed.wait()
        return self.max_jobs - self.job_counter

    async def _claim(self, most: int) -> list[Claim]:
        # Shielded: if no worker read the answer to the claim, its runs would wait until their leases ended.
        requested_at = time.monotonic()
        with anyio.CancelScope(shield=True):
            claims = await self._job.ledger.claim(
                self._job.worker, serves=self._serves, lease_ms=self._lease_ms, most=most
            )
        for claim in claims:
            self._start(Execution(claim, lease_requested_at=requested_at))
        return claims

    # --- runs ---------------------------------------------------------------------------------------------------------

    def _start(self, execution: Execution) -> None:
        """Gives a run its slot and its task. Both are arq's, so arq's counters and health record include the run."""
        self.job_counter += 1
        self._leases.hold(execution)
        # Not by run alone: after a pause longer than the lease, a worker may claim a run whose earlier task still ends.
        name = f"run {execution.run_id} attempt {execution.claim.attempt}"
        task = self.loop.create_task(self._job.run(execution), name=name)
        self.tasks[name] = task
        task.add_done_callback(partial(self._ended, execution))

    def _ended(self, execution: Execution, task: asyncio.Task[None]) -> None:
        self.job_counter -= 1
        self.jobs_complete += 1
        self._leases.drop(execution)
        del self.tasks[task.get_name()]
        self._slot_freed.set()
        if not task.cancelled() and (bug := task.exception()) is not None:
            # A bug of the worker: the job handles what an agent raises. The lease will run out, and another worker will
            # take the run over.
            logger.error("run.bug", **run_fields(execution.claim.run, execution.claim.attempt), exc_info=bug)

    # --- stopping: quiet, drain, stop ---------------------------------------------------------------------------------

    def handle_sig(self, signum: Signals) -> None:
        """The first signal drains; the second stops the agents now."""
        logger.info("worker.stopping", signal=signum.name, running=self.job_counter)
        if self._taking.cancel_called:
            self._draining.cancel()
        self._taking.cancel()

    async def _drain(self) -> None:
        with anyio.move_on_after(self._drain_seconds), self._draining:
            await self._all_ended()
        self._leases.stop_all(StopReason.DRAIN)
        with anyio.move_on_after(STOP_SECONDS) as stopping:
            async with anyio.create_task_group() as beside:
                beside.start_soon(self._cancel_without_redis, stopping)
                await self._all_ended()
                beside.cancel_scope.cancel()
        # Redis is away, or an agent resists: the worker that takes over the leases will end these runs. A command
        # whose task is cancelled gets its grace, and then SIGKILL.
        with anyio.move_on_after(CANCEL_SECONDS):
            for task in self.tasks.values():
                task.cancel()
            await self._all_ended()
        self._drained = True

    async def _cancel_without_redis(self, stopping: anyio.CancelScope) -> None:
        """Platforms kill a process a few seconds after the drain, and without Redis nothing is left to wait for."""
        with suppress(Unavailable, TimeoutError):
            while True:
                with anyio.fail_after(AWAY_SECONDS):
                    await self._job.ledger.ping()
                await anyio.sleep(AWAY_SECONDS / 4)
        stopping.cancel()

    async def _all_ended(self) -> None:
        while self.tasks:
            await asyncio.wait(self.tasks.values())
