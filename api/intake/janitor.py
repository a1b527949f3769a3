"""The janitor ends the runs that no worker will end. No worker took them in time, or their worker died and no other
may run them again, or their readers have left, or a client or an operator cancelled them while they waited.

Workers end such runs, too, when they claim. The janitor does it while no worker is alive, so that a client sees the
end of its run then, too.
"""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import structlog

from api.http.instrumentation import ApiInstrumentation, NoApiInstrumentation
from shared.ledger.finish import finish
from shared.ledger.ledger import Ledger
from shared.ledger.reader_leases import ReaderLeases
from shared.ledger.takeover import unstarted
from shared.log.event_log import EventLog
from shared.observe.logging import end_fields, run_fields
from shared.observe.supervision import Beat
from shared.run.errors import ErrorCode, LogRefused, Unavailable, Unreadable
from shared.run.events import StopReason
from shared.run.run import End
from shared.run.states import State

logger = structlog.get_logger()

ROUND_SECONDS = 0.5
AT_ONCE = 1_000  # runs of one kind that one round ends; finding them blocks Redis for some milliseconds
AT_A_TIME = 64
ROUND_AT_MOST_SECONDS = 180.0  # when all ends of a round take their whole patience
PATIENCE_SECONDS = 3.0  # with one run: a later round goes on with it, so that it delays no other for longer
# The janitor takes a run this long after its lease has ended: a live worker can do more for the run than end it.
WORKERS_FIRST_MS = 1_000
SETTLED_ROUNDS = 20  # while Redis was away no process could renew its readers' leases: all get this time to do it
LEASE_MS = 10_000  # enough to end a run; if this process dies meanwhile, the janitor of another one ends it


class Janitor:
    def __init__(
        self,
        name: str,
        ledger: Ledger,
        events: EventLog,
        leases: ReaderLeases,
        *,
        instrumentation: ApiInstrumentation | None = None,
    ) -> None:
        """`name` is the owner shown in the janitor's claims."""
        self._name = name
        self._ledger = ledger
        self._events = events
        self._leases = leases
        self._instrumentation = instrumentation or NoApiInstrumentation()
        self._rounds = 0  # that succeeded, in a row

    async def tidy_forever(self, beat: Beat) -> None:
        while True:
            await beat.sleep(ROUND_SECONDS)
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
        await self._end_all(await self._ledger.overdue(lost_for_ms=WORKERS_FIRST_MS, most=AT_ONCE))
        if self._rounds >= SETTLED_ROUNDS:
            await self._end_all(await self._leases.abandon(most=AT_ONCE))

    async def _end_all(self, run_ids: Sequence[str]) -> None:
        """Ends many runs at once: each takes five round trips, which they share."""
        limit = anyio.Semaphore(AT_A_TIME)

        left = list[str]()

        async def end(run_id: str) -> None:
            async with limit:
                try:
                    with anyio.fail_after(PATIENCE_SECONDS):
                        await self.end(run_id)
                except (Unavailable, TimeoutError):
                    left.append(run_id)

        async with anyio.create_task_group() as ending:
            for run_id in run_ids:
                ending.start_soon(end, run_id, name=f"end {run_id}")
        if left:
            raise Unavailable(f"{len(left)} of {len(run_ids)} runs could not be ended")

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
        except Unreadable:  # its log holds something else: its readers learn from the ledger that it has ended
            ended = End(state=State.FAILED, code=ErrorCode.UNREADABLE)
            await self._ledger.settle(claim, ended)
        if isinstance(ended, End):
            self._instrumentation.ended(claim.run, ended)
            logger.info("run.ended", **run_fields(claim.run, claim.attempt), **end_fields(ended))
        else:
            await self._ledger.release(run_id, claim.token, spend=False, unstarted=unstarted(claim, ended))
