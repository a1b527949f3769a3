"""Announces in Redis, for operators, that this API process is alive, with its streams, loop lag and memory."""

from __future__ import annotations

import os
import socket
from contextlib import suppress

from psutil import Process

from api.relay.reader_heartbeat import ReaderHeartbeat
from shared.ledger.presence import ANNOUNCE_SECONDS, Presence, WebAnnouncement
from shared.observe.loop_lag import LoopLag
from shared.observe.supervision import Beat
from shared.run.clock import now_ms
from shared.run.errors import Unavailable
from shared.run.release import RELEASE


class WebAnnouncer:
    def __init__(self, name: str, presence: Presence, readers: ReaderHeartbeat, lag: LoopLag) -> None:
        self._name = name
        self._presence = presence
        self._readers = readers
        self._lag = lag
        self._since_ms = now_ms()

    async def announce_forever(self, beat: Beat) -> None:
        while True:
            await self.announce()
            await beat.sleep(ANNOUNCE_SECONDS)

    async def announce(self) -> None:
        announcement = WebAnnouncement(
            web=self._name,
            host=socket.gethostname(),
            pid=os.getpid(),
            version=RELEASE,
            streams=self._readers.count,
            lag_ms=self._lag.longest_ms(),
            since_ms=self._since_ms,
            memory_bytes=Process().memory_info().rss,
        )
        with suppress(Unavailable):  # a missing announcement shows the failure, a little later
            await self._presence.announce_web(announcement)
