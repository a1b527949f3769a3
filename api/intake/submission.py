"""Submits runs to the ledger. A reader subscribes before the ledger accepts the run, so that it misses no event."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog

from api.http.instrumentation import ApiInstrumentation, NoApiInstrumentation
from api.intake.run_access import RunAccess
from api.relay.reader_heartbeat import ReaderHeartbeat
from api.relay.relay import Relay, RunReader
from shared.ledger.ledger import Accepted, Ledger, QueueLimits, RequestIdentity, Rerun
from shared.log.event_log import EventLog, Head
from shared.observe.logging import bind_run
from shared.redis.retry import retry_until_available
from shared.run.clock import now_ms
from shared.run.errors import LogRefused, RunrelayError, Unavailable
from shared.run.events import Queued, make_event
from shared.run.run import Run

logger = structlog.get_logger()

ACCEPT_SECONDS = 3.0  # in which the API repeats a submission that Redis has not answered


class Submission:
    def __init__(
        self,
        relay: Relay,
        readers: ReaderHeartbeat,
        ledger: Ledger,
        events: EventLog,
        bounds: QueueLimits,
        *,
        instrumentation: ApiInstrumentation | None = None,
    ) -> None:
        self._relay = relay
        self._readers = readers
        self._ledger = ledger
        self._events = events
        self._access = RunAccess(relay, readers, ledger, events)
        self._bounds = bounds
        self._instrumentation = instrumentation or NoApiInstrumentation()

    @asynccontextmanager
    async def submitted(self, run: Run, *, bell: str, once: RequestIdentity) -> AsyncIterator[tuple[Run, RunReader]]:
        """Yields the run that answers the request, and a reader from its first event on. It is not `run` but an earlier
        run when the request repeats the one that made that run. Raises Refused or Unavailable.
        """
        async with self._relay.follow(run.run_id) as reader:
            accepted = await self.accept(run, bell=bell, once=once)
            if not accepted.joined:
                async with self._readers.reading(reader):
                    yield run, reader
                return
        async with self._access.attach(accepted.run_id) as joined:
            yield joined

    async def accept(self, run: Run, *, bell: str, once: RequestIdentity, again: Rerun | None = None) -> Accepted:
        """Accepts a run that no reader of this process follows. Raises Refused or Unavailable."""
        try:
            async with asyncio.timeout(ACCEPT_SECONDS):
                _, accepted = await asyncio.gather(
                    self._append_queued(run),  # first: on one Redis both travel together, in this order
                    retry_until_available(
                        lambda: self._ledger.submit(run, bell=bell, once=once, bounds=self._bounds, again=again)
                    ),
                )
        except TimeoutError:
            raise Unavailable("Redis did not confirm that the run was accepted") from None
        except RunrelayError:
            await self._forget(run)
            raise
        if accepted.joined:
            await self._forget(run)
        else:
            self._instrumentation.accepted(bell)
            bind_run(run)
            logger.info("run.accepted", prompt=run.message)
        return accepted

    async def _append_queued(self, run: Run) -> None:
        queued = make_event(Queued(), run_id=run.run_id, session_key=run.session_key, attempt=0, seq=1, ts=now_ms())
        with suppress(Unavailable, LogRefused):  # a log on another Redis may be away: it then begins with the start
            await self._events.append([queued], Head(seq=1))

    async def _forget(self, run: Run) -> None:
        with suppress(Unavailable):  # then the log expires
            await self._events.discard(run.run_id)
