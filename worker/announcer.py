"""Tells the rest of the service that this worker is there, and when it leaves."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import structlog

from shared.errors import Unavailable
from shared.presence import ANNOUNCE_SECONDS, Announcement, Presence

log = structlog.get_logger()


class Announcer:
    def __init__(self, presence: Presence, announcement: Callable[[], Announcement]) -> None:
        """`announcement` makes the worker's current word."""
        self._presence = presence
        self._announcement = announcement

    async def announce_forever(self) -> None:
        while True:
            await self.announce()
            await anyio.sleep(ANNOUNCE_SECONDS)

    async def announce(self) -> None:
        try:
            await self._presence.announce(self._announcement())
        except Unavailable:
            log.warning("announce.unavailable")  # silence says the same, later
