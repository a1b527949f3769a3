"""Ends the runs no worker looks after: none took them in time, their worker died and no other may run them again, their
readers have left, or they were cancelled while they waited.

Workers do the same when they claim; the janitor is for the time when none is alive, so that a client is told all the
same.
"""

from __future__ import annotations

import anyio
import structlog

from api.http.instrumentation import ApiInstrumentation, NoApiInstrumentation
from shared.ledger.finish import finish
from shared.ledger.ledger import Ledger
from shared.ledger.reader_leases import ReaderLeases
from shared.log.event_log import EventLog
from shared.observe.logging import end_fields, run_fields
from shared.run.errors import LogRefused, Unavailable
from shared.run.events import StopReason
from shared.run.run import End
from shared.run.states import State

logger = structlog.get_logger()

ROUND_SECONDS = 1.0
WORKERS_FIRST_MS = (
    1_000  # a lease is over for this long before the janitor looks: a live worker can do more than end the run
)
SETTLED_ROUNDS = 10  # while Redis was away no reader could say that it is there: all of them get this time to say so
LEASE_MS = 10_000  # enough to end a run; if this process dies meanwhile, the next round of another one ends it


class Janitor:
    def __init__(
        self,
        name: str,
        ledger: Ledger,
        events: EventLog,
        attendance: ReaderLeases,
        *,
        queue_timeout_ms: int,
        instrumentation: ApiInstrumentation | None = None,
    ) -> None:
        """`name` is the owner that its claims show."""
        self._name = name
        self._ledger = ledger
        self._events = events
        self._attendance = attendance
        self._queue_timeout_ms = queue_timeout_ms
        self._instrumentation = instrumentation or NoApiInstrumentation()
        self._rounds = 0  # in a row that Redis has answered

    async def tidy_forever(self) -> None:
        while True:
            await anyio.sleep(ROUND_SECONDS)
            await self.go_round()

    async def go_round(self) -> None:
        """One round, as far as Redis lets it."""
        try:
            await self.tidy()
            self._rounds += 1
        except Unavailable:
            self._rounds = 0  # the next round sees the same runs

    async def tidy(self) -> None:
        """Ends what there is to end. Raises Unavailable."""
        for run_id in await self._ledger.overdue(lost_for_ms=WORKERS_FIRST_MS, waited_ms=self._queue_timeout_ms):
            await self.end(run_id)
        if self._rounds >= SETTLED_ROUNDS:
            for run_id in await self._attendance.abandon():
                await self.end(run_id)

    async def cancel(self, run_id: str, reason: StopReason, *, note: str = "") -> State | None:
        """Asks for a run to be stopped, and ends it when it still waits. Answers its state by then; None: no run.
        `note` is the audit's entry when an operator asks."""
        state = await self._ledger.cancel(run_id, reason, note=note)
        if state is State.QUEUED:
            await self.end(run_id)
        return state

    async def end(self, run_id: str) -> None:
        """Ends a run that is overdue, or that waits and was cancelled. Without effect on any other."""
        claim = await self._ledger.take(run_id, self._name, lease_ms=LEASE_MS)
        if claim is None:
            return
        try:
            ended = await finish(claim, self._ledger, self._events)
        except LogRefused as refused:
            logger.warning("janitor.refused", **run_fields(claim.run, claim.attempt), why=type(refused).__name__)
            return
        if isinstance(ended, End):
            self._instrumentation.ended(claim.run, ended)
            logger.info("run.ended", **run_fields(claim.run, claim.attempt), **end_fields(ended))
        else:
            await self._ledger.release(run_id, claim.token, spend=False)
