"""Keeps the leases of all runs on this worker, with one call for all of them."""

from __future__ import annotations

from contextlib import suppress
from typing import Protocol

import anyio
import structlog

from shared.ledger.ledger import Ledger
from shared.log.event_log import EventLog
from shared.observe.logging import run_fields
from shared.observe.supervision import Beat
from shared.run.errors import Unavailable
from shared.run.events import StopReason
from worker.attempt.execution import Execution
from worker.attempt.run_instrumentation import NoRunInstrumentation, RunInstrumentation

logger = structlog.get_logger()

AGAIN_SECONDS = 0.25  # between renewals while Redis is away
TOUCH_SECONDS = 15.0  # a quarter of the shortest retention: how often the log of a silent run is kept from expiring


class LeaseGuard(Protocol):
    def hold(self, run_id: str, token: str) -> None: ...

    def drop(self, run_id: str) -> None: ...


class NoLeaseGuard:
    def hold(self, run_id: str, token: str) -> None: ...

    def drop(self, run_id: str) -> None: ...


class Leases:
    def __init__(
        self,
        ledger: Ledger,
        events: EventLog,
        *,
        lease_seconds: float,
        touch_seconds: float = TOUCH_SECONDS,
        instrumentation: RunInstrumentation | None = None,
        guard: LeaseGuard | None = None,
    ) -> None:
        """`guard` learns of each lease, in order to give them back when this process is killed."""
        self._guard = guard or NoLeaseGuard()
        self._ledger = ledger
        self._events = events
        self._lease_ms = int(lease_seconds * 1000)
        self._touch_seconds = touch_seconds
        self._instrumentation = instrumentation or NoRunInstrumentation()
        self._held: dict[str, Execution] = {}

    def hold(self, execution: Execution) -> None:
        if earlier := self._held.get(execution.run_id):
            earlier.stop(StopReason.LEASE_LOST)  # this worker lost the run to itself: it paused longer than the lease
        self._held[execution.run_id] = execution
        self._guard.hold(execution.run_id, execution.claim.token)

    def drop(self, execution: Execution) -> None:
        if self._held.get(execution.run_id) is execution:
            del self._held[execution.run_id]
            self._guard.drop(execution.run_id)

    def execution(self, run_id: str) -> Execution | None:
        return self._held.get(run_id)

    def stop_all(self, reason: StopReason) -> None:
        for execution in self._held.values():
            execution.stop(reason)

    async def keep(self, beat: Beat) -> None:
        """Renews each lease after a third of its time, so that two renewals may fail. Stops a run whose lease is lost
        or whose record orders a stop."""
        while True:
            await beat.sleep(self._lease_ms / 3000)
            while self._held:
                beat()
                try:
                    await self._renew()
                    break
                except Unavailable:
                    await anyio.sleep(AGAIN_SECONDS)

    async def _renew(self) -> None:
        renewed = dict(self._held)
        tokens = {run_id: execution.claim.token for run_id, execution in renewed.items()}
        for run_id, renewal in (await self._ledger.renew(tokens, lease_ms=self._lease_ms)).items():
            execution = renewed[run_id]
            if self._held.get(run_id) is not execution or renewal.done:
                continue  # the run has ended or is about to, or this worker has claimed it again
            if not renewal.held:
                self._instrumentation.lease_lost(execution)
                logger.warning("lease.lost", **run_fields(execution.claim.run, execution.claim.attempt))
                execution.stop(StopReason.LEASE_LOST)
            elif renewal.cancel is not None:
                execution.stop(renewal.cancel)

    async def touch_forever(self, beat: Beat) -> None:
        """Keeps the logs of silent runs alive."""
        while True:
            await beat.sleep(self._touch_seconds)
            if self._held:
                with suppress(Unavailable):  # there are three more chances before anything expires
                    await self._events.touch(tuple(self._held))
