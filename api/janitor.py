"""Ends the runs nobody looks after: no worker took them in time, or their worker died and no other may run them again.

Workers do the same when they claim; the janitor is for the time when none is alive, so that a client is told all the
same.
"""

from __future__ import annotations

import anyio
import structlog

from shared.conclusion import conclude
from shared.errors import LogRefused, Unavailable
from shared.ledger import Ledger
from shared.log import EventLog

log = structlog.get_logger()

ROUND_SECONDS = 1.0
WORKERS_FIRST_MS = (
    1_000  # a lease is over for this long before the janitor looks: a live worker can do more than end the run
)
LEASE_MS = 10_000  # enough to end a run; if this process dies meanwhile, the next round of another one ends it


class Janitor:
    def __init__(self, name: str, ledger: Ledger, events: EventLog, *, queue_timeout_ms: int) -> None:
        """`name` is the owner that its claims show."""
        self._name = name
        self._ledger = ledger
        self._events = events
        self._queue_timeout_ms = queue_timeout_ms

    async def tidy_forever(self) -> None:
        while True:
            await anyio.sleep(ROUND_SECONDS)
            try:
                await self.tidy()
            except Unavailable:
                continue  # the next round sees the same runs

    async def tidy(self) -> None:
        for run_id in await self._ledger.overdue(lost_for_ms=WORKERS_FIRST_MS, waited_ms=self._queue_timeout_ms):
            await self.end(run_id)

    async def end(self, run_id: str) -> None:
        """Ends a run that is overdue, or that waits and was cancelled. Without effect on any other."""
        claim = await self._ledger.take(run_id, self._name, lease_ms=LEASE_MS)
        if claim is None:
            return
        try:
            head = await conclude(claim, self._ledger, self._events)
        except LogRefused as refused:
            log.warning("janitor.refused", run=run_id, why=type(refused).__name__)
            return
        if head is not None:
            await self._ledger.release(run_id, claim.token, spend=False)
