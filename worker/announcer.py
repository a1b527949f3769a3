"""Tells the rest of the service that this worker is there, and when it leaves."""

from __future__ import annotations

from collections.abc import Callable

import anyio

from shared.errors import Unavailable
from shared.outage import Outage
from shared.presence import ANNOUNCE_SECONDS, Announcement, Presence


class Announcer:
    def __init__(self, presence: Presence, announcement: Callable[[], Announcement]) -> None:
        """`announcement` makes the worker's current word."""
        self._presence = presence
        self._announcement = announcement
        self._outage = Outage("announce")

    async def announce_forever(self) -> None:
        while True:
            await self.announce()
            await anyio.sleep(ANNOUNCE_SECONDS)

    async def announce(self) -> None:
        try:
            await self._presence.announce(self._announcement())
            self._outage.worked()
        except Unavailable as away:
            self._outage.failed(away)  # silence says the same to everybody else, later
