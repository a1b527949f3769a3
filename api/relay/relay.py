"""The relay: hands each reader the events of its run, in order, each once. It knows nothing of HTTP or of OpenAI.

Pub/sub is the fast path and the stream the truth. A hole in the numbers, a gap of the link, an overflow or a late
reader is filled from the stream, never guessed.
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
from shared.run.errors import Draining, EventsGone, LogLost, Unavailable
from shared.run.events import Cancelled, Completed, Event, Failed, LifecycleEvent, from_json
from shared.run.states import ENDS, State

AWAY_SECONDS = 0.25  # between attempts to read while Redis is away
LOOK_SECONDS = 30.0  # between looks at a run that is silent; sooner after a gap, as a link that holds loses nothing


def is_terminal(event: Event) -> bool:
    """Only the terminal event is: lifecycle events before it end nothing."""
    return isinstance(event, LifecycleEvent) and isinstance(event.data, Completed | Failed | Cancelled)


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
        """A reader of the run's events numbered above `after`; None for a run that has none yet.

        Redis has confirmed the subscription when this is entered, so whatever is queued afterwards is heard. Raises
        Unavailable when it does not confirm.
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
        """Ends all reading with Draining: this process is about to stop."""
        self._hub.end()


class RunReader:
    """One client's place in a run."""

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
        self._behind = after is not None  # there may be events that only the stream has
        self._look_seconds = look_seconds
        self._looked_at = time.monotonic()

    async def batch(self, patience: float) -> list[Event]:
        """The next events, in order; empty after `patience` seconds without any.

        Raises EventsGone when events above the reader's place are not kept any more, LogLost when the run is gone, and
        Draining when this process is about to stop.
        """
        clock = asyncio.get_running_loop().time
        until = clock() + patience
        while not (events := self._heard()):
            if self._behind or self._hub.ending or not await self._inbox.filled(until - clock()):
                return await self._unheard(until)
        return events

    async def alone(self) -> bool:
        """Whether nobody else follows the run, here or at another process. In doubt: no."""
        if self._hub.readers(self._log.keys.channel(self.run_id)) > 1:
            return False
        try:
            return await self._log.listeners(self.run_id) == 1
        except Unavailable:
            return False

    async def _unheard(self, until: float) -> list[Event]:
        """The same where pub/sub is not enough: behind it, after a silence, and at the end of this process."""
        with self._hub.lasting():
            return await self._next(until)
        raise Draining

    async def _next(self, until: float) -> list[Event]:
        clock = asyncio.get_running_loop().time
        while (left := until - clock()) > 0:
            try:
                events = self._heard() or await self._missed()
            except Unavailable:
                await anyio.sleep(min(left, AWAY_SECONDS))
                continue
            if events:
                return events
            if self._hub.ending:
                raise Draining
            await self._inbox.filled(left)
        return await self._look()

    def _heard(self) -> list[Event]:
        """What pub/sub has brought, up to the first hole."""
        gap, messages = self._inbox.take()
        if gap:
            self._fall_behind()
        events: list[Event] = []
        for event in (from_json(line) for message in messages for line in message.split(b"\n")):
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
        self._looked_at = -math.inf  # who knows what became of the run

    async def _missed(self) -> list[Event]:
        """What only the stream has, a page at a time."""
        if not self._behind:
            return []
        events = await self._log.read(self.run_id, self._seq)
        if events and events[-1].seq != self._seq + len(events):  # a hole, before them or among them
            raise EventsGone(self.run_id)
        self._behind = len(events) == PAGE
        if events:
            self._seq, self.ended = events[-1].seq, is_terminal(events[-1])
        return events

    async def _look(self) -> list[Event]:
        """After a silence, now and then: whether pub/sub lost something, and whether the run is still there."""
        now = time.monotonic()
        if now - self._looked_at < self._look_seconds:
            return []
        self._behind = True
        try:
            events = await self._missed() or await self._gone()
        except Unavailable:
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
        """What has come since it was looked for, up to the log's last event, which has this number."""
        if seq <= self._seq:
            return []
        self._behind = True
        if not (events := await self._missed()):
            raise EventsGone(self.run_id)
        return events
