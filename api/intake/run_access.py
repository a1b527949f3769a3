"""Opens runs that were accepted before: the record, and a reader of the events."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from api.http import api_errors
from api.relay.reader_heartbeat import ReaderHeartbeat
from api.relay.relay import Relay, RunReader
from shared.ledger.ledger import Ledger
from shared.ledger.run_record import RunRecord
from shared.log.event_log import EventLog, Head
from shared.observe.logging import bind_run
from shared.run.errors import Unavailable
from shared.run.run import Run


@dataclass(frozen=True)
class RunAccess:
    relay: Relay
    readers: ReaderHeartbeat
    ledger: Ledger
    events: EventLog

    async def any_record(self, run_id: str) -> RunRecord:
        """The ledger's record of a run of any credential. Raises ApiError 404 and Unavailable."""
        record = await self.ledger.record(run_id)
        if record is None:
            raise api_errors.run_not_found(run_id)
        bind_run(record.run)
        return record

    async def record_of_owner(self, run_id: str, owner: str) -> RunRecord:
        """The ledger's record of a run of this credential. Raises ApiError 404 for any other run, and Unavailable."""
        record = await self.any_record(run_id)
        if record.run.owner != owner:
            raise api_errors.run_not_found(run_id)
        return record

    @asynccontextmanager
    async def attach(self, run_id: str, *, after: int = 0) -> AsyncIterator[tuple[Run, RunReader]]:
        """Yields the run and a reader of its events above `after`. The reader keeps a foreground run going.

        Raises Unavailable.
        """
        async with self.relay.follow(run_id, after=after) as reader:
            record = await self.ledger.record(run_id)
            if record is None:
                raise Unavailable("the run has just gone")
            bind_run(record.run)
            async with self.readers.reading(reader, returning=True):
                yield record.run, reader

    @asynccontextmanager
    async def attach_owned(self, run_id: str, owner: str, *, after: int = 0) -> AsyncIterator[tuple[Run, RunReader]]:
        """Attaches to a run of this credential as `attach` does. Raises ApiError 404 for others, and Unavailable."""
        await self.record_of_owner(run_id, owner)
        async with self.attach(run_id, after=after) as attached:
            yield attached

    @asynccontextmanager
    async def observe(self, run_id: str, *, after: int = 0) -> AsyncIterator[tuple[Run, RunReader]]:
        """Yields the run and a reader of its events above `after`, for an operator. This reader does not keep a
        foreground run going. Raises ApiError 404 and Unavailable."""
        async with self.relay.follow(run_id, after=after) as reader:
            yield (await self.any_record(run_id)).run, reader

    async def check_cursor(self, run_id: str, after: int, name: str) -> Head:
        """The head of the run's log. Raises ApiError 400 when the log ends before `after`, the value of the parameter
        `name`."""
        head = await self.events.head(run_id)
        if after > head.seq:
            raise api_errors.invalid_value(name, f"the run's last event is {head.seq}")
        return head
