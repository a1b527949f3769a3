"""Tells the rest of the service that this worker is there, and when it leaves; and hears what it is to do."""

from __future__ import annotations

from collections.abc import Callable

import anyio

from shared.ledger.presence import ANNOUNCE_SECONDS, Announcement, Presence, WorkerOrder
from shared.redis.outage import Outage
from shared.run.errors import Unavailable


class WorkerAnnouncer:
    def __init__(
        self,
        presence: Presence,
        announcement: Callable[[], Announcement],
        obey: Callable[[WorkerOrder], bool],
        deltas: Callable[[], int],
    ) -> None:
        """`announcement` makes the worker's current word. `obey` is told the worker's order with each answer, and says
        whether that changed anything. `deltas` counts those of the worker's whole life."""
        self._presence = presence
        self._announcement = announcement
        self._outage = Outage("announce")
        self._obey = obey
        self._deltas = deltas
        self._told = 0
        self._asked = anyio.Event()

    async def announce_forever(self) -> None:
        while True:
            self._asked = anyio.Event()
            await self.announce()
            with anyio.move_on_after(ANNOUNCE_SECONDS):
                await self._asked.wait()

    def soon(self) -> None:
        """There is news, here or in Redis."""
        self._asked.set()

    async def announce(self) -> None:
        announcement, deltas = self._announcement(), self._deltas()
        try:
            order = await self._presence.announce(announcement, deltas=deltas - self._told)
            self._outage.worked()
        except Unavailable as away:
            self._outage.failed(away)  # silence says the same to everybody else, later
            return
        self._told = deltas
        if self._obey(order):
            self.soon()
