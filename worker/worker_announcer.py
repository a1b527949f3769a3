"""Announces this worker in Redis while it lives and when it leaves, and receives the operator's order in return."""

from __future__ import annotations

from collections.abc import Callable

import anyio

from shared.ledger.presence import ANNOUNCE_SECONDS, Announcement, Presence, WorkerOrder
from shared.observe.supervision import Beat
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
        """`announcement` returns the worker's current announcement. `obey` gets the worker's order after each
        announcement and returns whether the worker changed its state. `deltas` returns how many deltas the worker has
        written since it started."""
        self._presence = presence
        self._announcement = announcement
        self._outage = Outage("announce")
        self._obey = obey
        self._deltas = deltas
        self._announced_deltas = 0
        self._wake = anyio.Event()

    async def announce_forever(self, beat: Beat) -> None:
        while True:
            beat()
            self._wake = anyio.Event()
            await self.announce()
            with anyio.move_on_after(ANNOUNCE_SECONDS):
                await self._wake.wait()

    def soon(self) -> None:
        """Has the worker announced at once, because its state or its order has changed."""
        self._wake.set()

    async def announce(self) -> None:
        announcement, deltas = self._announcement(), self._deltas()
        try:
            order = await self._presence.announce(announcement, deltas=deltas - self._announced_deltas)
            self._outage.worked()
        except Unavailable as away:
            self._outage.failed(away)  # a worker that stops announcing itself counts as gone, only later
            return
        self._announced_deltas = deltas
        if self._obey(order):
            self.soon()
