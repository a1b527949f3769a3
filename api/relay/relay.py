"""The relay: hands each reader the events of its run, in order, each once. It knows nothing of HTTP or of OpenAI.

Pub/sub is the fast path; the stream is the truth. After a hole in the numbers, a gap of the link or an overflow, and
for a late reader, the relay reads the events from the stream. It never guesses them.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from api.http.instrumentation import ApiInstrumentation, NoApiInstrumentation
from api.relay.hub import Hub
from api.relay.inbox import Inbox
from shared.ledger.ledger import Ledger
from shared.log.event_log import PAGE, EventLog
from shared.run.errors import Draining, EventsGone, LogLost, Unavailable, Unreadable
from shared.run.events import Event, from_json, is_terminal
from shared.run.states import ENDS, State

AWAY_SECONDS = 0.25  # between attempts to read while Redis is away
LOOK_SECONDS = 30.0  # between checks of a silent run; sooner after a gap, because an unbroken link loses nothing


class Relay:
    def __init__(
        self,
        hub: Hub,
        log: EventLog,
        ledger: Ledger,
        *,
        instrumentation: ApiInstrumentation | None = None,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        self._hub = hub
        self._log = log
        self._ledger = ledger
        self._instrumentation = instrumentation or NoApiInstrumentation()
        self._look_seconds = look_seconds

    @asynccontextmanager
    async def follow(self, run_id: str, *, after: int | None = None) -> AsyncIterator[RunReader]:
        """Yields a reader of the run's events numbered above `after`; None is for a run that has no events yet.

        Redis has confirmed the subscription when the block begins, so the reader receives the events of a run that is
        queued in the block. Raises Unavailable when Redis does not confirm.
        """
        async with self._hub.subscribe(self._log.keys.channel(run_id)) as inbox:
            yield RunReader(
                run_id,
                inbox,
                self._hub,
                self._log,
                self._ledger,
                after,
                self._instrumentation,
                look_seconds=self._look_seconds,
            )

    def end(self) -> None:
        """Ends every reader with Draining because this process is about to stop."""
        self._hub.end()


class RunReader:
    """One client's position in a run."""

    def __init__(
        self,
        run_id: str,
        inbox: Inbox,
        hub: Hub,
        log: EventLog,
        ledger: Ledger,
        after: int | None,
        instrumentation: ApiInstrumentation | None = None,
        *,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        self.run_id = run_id
        self.ended = False  # whether it has handed out the run's last event
        self._inbox = inbox
        self._hub = hub
        self._log = log
        self._ledger = ledger
        self._instrumentation = instrumentation or NoApiInstrumentation()
        self._seq = after or 0
        self._behind = after is not None  # the stream may have events that pub/sub does not bring
        self._look_seconds = look_seconds
        self._looked_at = time.monotonic()

    async def batch(self, patience: float) -> list[Event]:
        """The next events, in order; empty after `patience` seconds without any.

        Raises EventsGone when Redis does not keep the events after the reader's position any more, LogLost when the run
        is gone, and Draining when this process is about to stop.
        """
        clock = asyncio.get_running_loop().time
        until = clock() + patience
        while not (events := self._published()):
            if self._behind or self._hub.ending or not await self._inbox.filled(until - clock()):
                return await self._slow_path(until)
        return events

    async def alone(self) -> bool:
        """Whether no other reader follows the run, in this process or in another. False when Redis is away."""
        if self._hub.readers(self._log.keys.channel(self.run_id)) > 1:
            return False
        try:
            return await self._log.listeners(self.run_id) == 1
        except Unavailable:
            return False

    async def _slow_path(self, until: float) -> list[Event]:
        """The next events where pub/sub is not enough: for a reader that is behind, after a silence, and while this
        process stops. Raises what `batch` raises."""
        with self._hub.lasting():
            return await self._next(until)
        raise Draining

    async def _next(self, until: float) -> list[Event]:
        clock = asyncio.get_running_loop().time
        while (left := until - clock()) > 0:
            try:
                events = self._published() or await self._missed()
            except Unreadable as why:
                raise LogLost(self.run_id) from why
            except Unavailable:
                await anyio.sleep(min(left, AWAY_SECONDS))
                continue
            if events:
                return events
            if self._hub.ending:
                raise Draining
            if self._looked_at == -math.inf:  # after a gap: perhaps no message comes any more
                return await self._look()
            await self._inbox.filled(left)
        return await self._look()

    def _published(self) -> list[Event]:
        """The events that pub/sub has brought, up to the first hole."""
        gap, messages = self._inbox.take()
        if gap:
            self._fall_behind()
        events: list[Event] = []
        for line in (line for message in messages for line in message.split(b"\n")):
            try:
                event = from_json(line)
            except ValueError:  # the stream shows whether the log has it so, too
                self._fall_behind()
                break
            if event.seq > self._seq + 1:
                self._fall_behind()
                break
            if event.seq == self._seq + 1:
                self._seq = event.seq
                events.append(event)
        if events:
            self.ended = is_terminal(events[-1])
        return events

    def _fall_behind(self) -> None:
        if not self._behind:
            self._instrumentation.gap()
        self._behind = True
        self._looked_at = -math.inf  # the run may have ended or may be lost, so the next silence checks it at once

    async def _missed(self) -> list[Event]:
        """The next page of the stream for a reader that is behind, otherwise nothing."""
        if not self._behind:
            return []
        events = await self._log.read(self.run_id, self._seq)
        if events and events[-1].seq != self._seq + len(events):  # a hole before these events or among them
            raise EventsGone(self.run_id)
        self._behind = len(events) == PAGE
        if events:
            self._seq, self.ended = events[-1].seq, is_terminal(events[-1])
        return events

    async def _look(self) -> list[Event]:
        """After a silence, at most every `look_seconds`: checks whether pub/sub lost an event and whether the run is
        still there."""
        now = time.monotonic()
        if now - self._looked_at < self._look_seconds:
            return []
        self._behind = True
        try:
            events = await self._missed() or await self._gone()
        except Unreadable as why:
            raise LogLost(self.run_id) from why
        except Unavailable:
            await anyio.sleep(AWAY_SECONDS)
            return []
        self._looked_at = now
        return events

    async def _gone(self) -> list[Event]:
        record = await self._ledger.record(self.run_id)
        if record is None:
            raise LogLost(self.run_id)
        if record.state is State.QUEUED:
            await self._log.touch([self.run_id])  # no worker keeps it from expiring
        if record.state not in ENDS:
            return []
        head = await self._log.head(self.run_id)
        if head.end is None:
            raise LogLost(self.run_id)
        return await self._last(head.seq)

    async def _last(self, seq: int) -> list[Event]:
        """The events that the log received after `_missed` read it, up to its last event, whose number is `seq`."""
        if seq <= self._seq:
            return []
        self._behind = True
        if not (events := await self._missed()):
            raise EventsGone(self.run_id)
        return events
