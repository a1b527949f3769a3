"""From a request to a run that is followed: subscribe, then accept, so that nothing said can be missed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog

from api.http import api_errors
from api.http.instrumentation import ApiInstrumentation, NoApiInstrumentation
from api.relay.reader_heartbeat import ReaderHeartbeat
from api.relay.relay import Relay, RunReader
from shared.ledger.ledger import Accepted, Ledger, QueueLimits, RequestIdentity, Rerun
from shared.ledger.run_record import RunRecord
from shared.log.event_log import EventLog, Head
from shared.observe.logging import bind_run
from shared.redis.retry import retry_until_available
from shared.run.clock import now_ms
from shared.run.errors import LogRefused, RunrelayError, Unavailable
from shared.run.events import Queued, make_event
from shared.run.run import Run

logger = structlog.get_logger()

ACCEPT_SECONDS = 3.0  # how long a request waits for a Redis that hiccups; its answer lost, the ask is simply repeated


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
        self._bounds = bounds
        self._instrumentation = instrumentation or NoApiInstrumentation()

    @asynccontextmanager
    async def submitted(self, run: Run, *, bell: str, once: RequestIdentity) -> AsyncIterator[tuple[Run, RunReader]]:
        """The run that answers the request, and a reader from its first event on.

        It is another run than was handed in when an earlier request had made it. Raises Refused or Unavailable.
        """
        async with self._relay.follow(run.run_id) as reader:
            accepted = await self.accept(run, bell=bell, once=once)
            if not accepted.joined:
                async with self._readers.reading(reader):
                    yield run, reader
                return
        async with self.attached(accepted.run_id) as joined:
            yield joined

    @asynccontextmanager
    async def attached(self, run_id: str, *, after: int = 0) -> AsyncIterator[tuple[Run, RunReader]]:
        """A run that was accepted before, and a reader of its events above `after`. Raises Unavailable."""
        async with self._relay.follow(run_id, after=after) as reader:
            record = await self._ledger.record(run_id)
            if record is None:
                raise Unavailable("the run has just gone")
            bind_run(record.run)
            async with self._readers.reading(reader, returning=True):
                yield record.run, reader

    @asynccontextmanager
    async def observed(self, run_id: str, *, after: int = 0) -> AsyncIterator[tuple[Run, RunReader]]:
        """The same for an operator, who is no reader that a run would go on for. Raises Failure 404 and Unavailable."""
        async with self._relay.follow(run_id, after=after) as reader:
            yield (await self.any_record(run_id)).run, reader

    @asynccontextmanager
    async def owned(self, run_id: str, owner: str, *, after: int = 0) -> AsyncIterator[tuple[Run, RunReader]]:
        """The same for a run of this credential; any other is Failure 404."""
        await self.record(run_id, owner)
        async with self.attached(run_id, after=after) as attached:
            yield attached

    async def record(self, run_id: str, owner: str) -> RunRecord:
        """What the ledger knows of a run of this credential. Raises Failure 404 and Unavailable."""
        record = await self.any_record(run_id)
        if record.run.owner != owner:
            raise api_errors.run_not_found(run_id)
        return record

    async def any_record(self, run_id: str) -> RunRecord:
        """The same of any run."""
        record = await self._ledger.record(run_id)
        if record is None:
            raise api_errors.run_not_found(run_id)
        bind_run(record.run)
        return record

    async def place(self, run_id: str, after: int, name: str) -> Head:
        """Where the run's log stands. Raises Failure 400 when that is before `after`, which the client calls `name`."""
        head = await self._events.head(run_id)
        if after > head.seq:
            raise api_errors.invalid_value(name, f"the run's last event is {head.seq}")
        return head

    async def accept(self, run: Run, *, bell: str, once: RequestIdentity, again: Rerun | None = None) -> Accepted:
        """Accepts a run that nobody here reads. Raises Refused or Unavailable."""
        try:
            async with asyncio.timeout(ACCEPT_SECONDS):
                _, accepted = await asyncio.gather(
                    self._say_queued(run),  # first: on one Redis both travel together, in this order
                    retry_until_available(
                        lambda: self._ledger.submit(run, bell=bell, once=once, bounds=self._bounds, again=again)
                    ),
                )
        except TimeoutError:
            raise Unavailable("no word on whether the run was accepted") from None
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

    async def _say_queued(self, run: Run) -> None:
        queued = make_event(Queued(), run_id=run.run_id, session_key=run.session_key, attempt=0, seq=1, ts=now_ms())
        with suppress(Unavailable, LogRefused):  # a log on another Redis may lag behind: then it begins with the start
            await self._events.append([queued], Head(seq=1))

    async def _forget(self, run: Run) -> None:
        with suppress(Unavailable):  # it expires
            await self._events.discard(run.run_id)
