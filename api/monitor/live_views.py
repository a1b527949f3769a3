"""The live parts of the pages that browsers show. One loop per process refreshes them.

Browsers that show the same page share one look, which is one read from Redis. The loop makes a round of looks once a
second while a browser is there, and none otherwise. It makes a slow look less often, so that a filter left open in a
browser holds up Redis for a small part of the time only.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Mapping
from contextlib import asynccontextmanager

from api.http.api_errors import ApiError
from shared.observe.supervision import Beat
from shared.run.errors import Draining, Unavailable

ROUND_SECONDS = 1.0
SHARE = 20  # a look may take one twentieth of the time
MOST_LOOKS = 64  # different ones at a time

Parts = Mapping[str, str]  # HTML by the id of the part of the page
Look = Callable[[], Awaitable[Parts]]

NOTICE = "notice"  # the part that tells why the page does not change
_AWAY = "Redis does not answer. What you see is from before."


class TooManyLooks(Exception):
    """Browsers show so many different pages that one more would hold up Redis."""


class _PolledPage:
    """A page that at least one browser shows: the look that renews it, and its parts from the last look."""

    def __init__(self, look: Look) -> None:
        self.parts: Parts = {}
        self.watches = 0
        self.due = -math.inf
        self.bug: BaseException | None = None
        self.turned = asyncio.Event()
        self._look = look

    async def renew(self) -> None:
        clock = asyncio.get_running_loop().time
        begun = clock()
        try:
            parts = {**await self._look(), NOTICE: ""}
        except Unavailable:
            parts = {**self.parts, NOTICE: _AWAY}
        except ApiError as failure:  # for example because the run was deleted
            parts = {**self.parts, NOTICE: str(failure)}
        self.due = clock() + (clock() - begun) * SHARE
        if parts != self.parts:
            self.parts = parts
            self.turn()

    def turn(self) -> None:
        """Wakes the subscriptions that wait for a change."""
        self.turned.set()
        self.turned = asyncio.Event()


class LiveSubscription:
    """One browser's subscription to a page. It gets all changes since its last call, however slow it is."""

    def __init__(self, polled: _PolledPage, live: LiveViews) -> None:
        self._polled = polled
        self._live = live
        self._sent: dict[str, str] = {}

    async def changes(self) -> Parts:
        """Waits for parts that differ from those returned before, and returns them. Raises Draining, and any unforeseen
        exception of the look."""
        while True:
            if self._live.ending:
                raise Draining
            if self._polled.bug is not None:
                raise self._polled.bug
            fresh = {name: part for name, part in self._polled.parts.items() if self._sent.get(name) != part}
            if fresh:
                self._sent |= fresh
                return fresh
            await self._polled.turned.wait()


class LiveViews:
    def __init__(self) -> None:
        self._looks: dict[Hashable, _PolledPage] = {}
        self._wanted = asyncio.Event()
        self.ending = False

    @asynccontextmanager
    async def subscribe(self, key: Hashable, look: Look) -> AsyncIterator[LiveSubscription]:
        """Subscribes to the page that `look` reads. Subscriptions with the same key share one look. Raises
        TooManyLooks."""
        if key not in self._looks and len(self._looks) >= MOST_LOOKS:
            raise TooManyLooks
        polled = self._looks.setdefault(key, _PolledPage(look))
        polled.watches += 1
        self._wanted.set()
        try:
            yield LiveSubscription(polled, self)
        finally:
            polled.watches -= 1
            if not polled.watches:
                del self._looks[key]
            if not self._looks:
                self._wanted.clear()

    def end(self) -> None:
        """Ends all subscriptions because this process is about to stop. The browsers connect to another one."""
        self.ending = True
        for polled in self._looks.values():
            polled.turn()

    async def look_forever(self, beat: Beat) -> None:
        while True:
            await beat.until(self._wanted)
            await self.go_round()
            await beat.sleep(ROUND_SECONDS)

    async def go_round(self) -> None:
        """Renews all pages that are due at the same time, so that their looks share round trips."""
        now = asyncio.get_running_loop().time()
        due = [polled for polled in self._looks.values() if polled.due <= now]
        bugs = await asyncio.gather(*(polled.renew() for polled in due), return_exceptions=True)
        for polled, bug in zip(due, bugs, strict=True):
            if bug is not None:  # ends the streams of this page, not the process
                polled.bug = bug
                polled.turn()
