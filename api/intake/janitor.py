"""The janitor ends the runs that no worker will end. No worker took them in time, or their worker died and no other
may run them again, or their readers have left, or a client or an operator cancelled them while they waited.

Workers end such runs, too, when they claim. The janitor does it while no worker is alive, so that a client sees the
end of its run then, too.
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
# The janitor takes a run this long after its lease has ended: a live worker can do more for the run than end it.
WORKERS_FIRST_MS = 1_000
SETTLED_ROUNDS = 10  # while Redis was away no process could renew its readers' leases: all get this time to do it
LEASE_MS = 10_000  # enough to end a run; if this process dies meanwhile, the janitor of another one ends it


class Janitor:
    def __init__(
        self,
        name: str,
        ledger: Ledger,
        events: EventLog,
        leases: ReaderLeases,
        *,
        queue_timeout_ms: int,
        instrumentation: ApiInstrumentation | None = None,
    ) -> None:
        """`name` is the owner shown in the janitor's claims."""
        self._name = name
        self._ledger = ledger
        self._events = events
        self._leases = leases
        self._queue_timeout_ms = queue_timeout_ms
        self._instrumentation = instrumentation or NoApiInstrumentation()
        self._rounds = 0  # that succeeded, in a row

    async def tidy_forever(self) -> None:
        while True:
            await anyio.sleep(ROUND_SECONDS)
            await self.go_round()

    async def go_round(self) -> None:
        """One round. It stops early when Redis is away."""
        try:
            await self.tidy()
            self._rounds += 1
        except Unavailable:
            self._rounds = 0  # the next round finds these runs again

    async def tidy(self) -> None:
        """Ends the runs that are overdue or abandoned. Raises Unavailable."""
        for run_id in await self._ledger.overdue(lost_for_ms=WORKERS_FIRST_MS, waited_ms=self._queue_timeout_ms):
            await self.end(run_id)
        if self._rounds >= SETTLED_ROUNDS:
            for run_id in await self._leases.abandon():
                await self.end(run_id)

    async def cancel(self, run_id: str, reason: StopReason, *, note: str = "") -> State | None:
        """Requests that a run be stopped, and ends it at once when it still waits.

        Returns the state that the run had at the request; None when there is no such run. `note` is the entry for the
        audit when an operator cancels."""
        state = await self._ledger.cancel(run_id, reason, note=note)
        if state is State.QUEUED:
            await self.end(run_id)
        return state

    async def end(self, run_id: str) -> None:
        """Ends a run that is overdue, or that was cancelled while it waits. Does nothing to any other run."""
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
