"""The one stream of a browser: the live parts of its page, and the events of a run as they come.

The event `parts` carries HTML by the id of the element that it replaces. The event `said` carries what the run's page
adds to its text, its timeline and its list of events. The event `bye` makes the page reload, to log in.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import anyio
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from api.http import sse
from api.http.json_value import compact
from api.monitor.live_views import LiveSubscription
from api.monitor.rendering import Templates
from api.monitor.run_page import timeline_entries
from api.monitor.run_updates import RunUpdates
from api.relay.event_stream import KEEP_ALIVE_SECONDS
from api.relay.relay import RunReader
from shared.log.event_log import EventLog
from shared.run.errors import Draining, LogLost
from shared.run.events import is_terminal

AHEAD = 8  # frames that may wait until the browser takes them

Put = Callable[[bytes], Awaitable[None]]
Source = Callable[[Put], Awaitable[None]]


class LiveResponse(StreamingResponse):
    """A streaming response with the frames of several sources, as they come. It owns the resources that the sources
    read from, and releases them however it ends."""

    def __init__(self, sources: list[Source], owned: AsyncExitStack) -> None:
        super().__init__(self._frames(), headers=sse.HEADERS)
        self._sources = sources
        self._owned = owned
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue(AHEAD)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._owned, anyio.create_task_group() as crew:
            for source in self._sources:
                crew.start_soon(self._drive, source)
            await super().__call__(scope, receive, send)
            crew.cancel_scope.cancel()

    async def _drive(self, source: Source) -> None:
        try:
            await source(self._queue.put)
        except Draining:
            await self._queue.put(None)

    async def _frames(self) -> AsyncIterator[bytes]:
        yield sse.comment("connected")
        while True:
            try:
                async with asyncio.timeout(KEEP_ALIVE_SECONDS):
                    frame = await self._queue.get()
            except TimeoutError:
                frame = sse.comment("keep-alive")
            if frame is None:
                return
            yield frame


def changing(watch: LiveSubscription) -> Source:
    """A source of the live parts of a page."""

    async def source(put: Put) -> None:
        while True:
            await put(sse.event("parts", compact({**await watch.changes()})))

    return source


def speaking(reader: RunReader, log: EventLog, templates: Templates, *, after: int, queued_ms: int) -> Source:
    """A source of a run's events numbered above `after`."""

    async def source(put: Put) -> None:
        updates = RunUpdates()
        # Joining the texts and naming the attempt need the events before, too.
        async for events in log.pages(reader.run_id, after):
            updates.add(events)
        while True:
            try:
                events = await reader.batch(KEEP_ALIVE_SECONDS)
            except LogLost:
                return
            if events:
                update = updates.add(events)
                steps = templates.moments(timeline_entries(update.steps, queued_ms))
                payload = compact({"text": update.text, "steps": steps, "raw": [*update.raw]})
                await put(sse.event("said", payload, id=events[-1].seq))
            if any(map(is_terminal, events)):
                return

    return source
