"""What every browser looks at, kept fresh by one loop per process.

Browsers that look at the same thing share one look at Redis. There is a round of looks once a second as long as there
is a browser, and none when there is not. A look that takes long is taken less often, so that no filter somebody has
left open holds up Redis for more than a small part of the time.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Mapping
from contextlib import asynccontextmanager

import anyio

from api.http.api_errors import ApiError
from shared.run.errors import Draining, Unavailable

ROUND_SECONDS = 1.0
SHARE = 20  # a look may take the twentieth part of the time
MOST_LOOKS = 64  # different ones at a time

Parts = Mapping[str, str]  # HTML by the id of the part of the page
Look = Callable[[], Awaitable[Parts]]

NOTICE = "notice"  # the part that says why nothing moves
_AWAY = "Redis does not answer. What you see is from before."


class TooManyLooks(Exception):
    """So many different pages are looked at that one more would hold up Redis."""


class _PolledPage:
    """One thing that is looked at."""

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
        except ApiError as failure:  # the run was deleted, for one
            parts = {**self.parts, NOTICE: str(failure)}
        self.due = clock() + (clock() - begun) * SHARE
        if parts != self.parts:
            self.parts = parts
            self.turn()

    def turn(self) -> None:
        """Wakes whoever waits."""
        self.turned.set()
        self.turned = asyncio.Event()


class LiveSubscription:
    """One browser's place: it gets what has changed since it last asked, however slow it is."""

    def __init__(self, looked: _PolledPage, live: LiveViews) -> None:
        self._looked = looked
        self._live = live
        self._sent: dict[str, str] = {}

    async def changes(self) -> Parts:
        """The parts that are new or other than before, as soon as there are some. Raises Draining."""
        while True:
            if self._live.ending:
                raise Draining
            if self._looked.bug is not None:
                raise self._looked.bug
            fresh = {name: part for name, part in self._looked.parts.items() if self._sent.get(name) != part}
            if fresh:
                self._sent |= fresh
                return fresh
            await self._looked.turned.wait()


class LiveViews:
    def __init__(self) -> None:
        self._looks: dict[Hashable, _PolledPage] = {}
        self._wanted = asyncio.Event()
        self.ending = False

    @asynccontextmanager
    async def subscribe(self, key: Hashable, look: Look) -> AsyncIterator[LiveSubscription]:
        """Looks with the same key are the same. Raises TooManyLooks."""
        if key not in self._looks and len(self._looks) >= MOST_LOOKS:
            raise TooManyLooks
        looked = self._looks.setdefault(key, _PolledPage(look))
        looked.watches += 1
        self._wanted.set()
        try:
            yield LiveSubscription(looked, self)
        finally:
            looked.watches -= 1
            if not looked.watches:
                del self._looks[key]
            if not self._looks:
                self._wanted.clear()

    def end(self) -> None:
        """Ends all watching: this process is about to stop, and pages find another one."""
        self.ending = True
        for looked in self._looks.values():
            looked.turn()

    async def look_forever(self) -> None:
        while True:
            await self._wanted.wait()
            await self.go_round()
            await anyio.sleep(ROUND_SECONDS)

    async def go_round(self) -> None:
        """Renews all looks that are due, together: they share their round trips."""
        now = asyncio.get_running_loop().time()
        due = [looked for looked in self._looks.values() if looked.due <= now]
        bugs = await asyncio.gather(*(looked.renew() for looked in due), return_exceptions=True)
        for looked, bug in zip(due, bugs, strict=True):
            if bug is not None:  # it ends the streams of this page, and not the process
                looked.bug = bug
                looked.turn()
