"""Tells systemd how this process is, as sd_notify(3) does: one datagram for each message.

The libraries for it are unmaintained for years or need a C compiler, and the protocol is one line.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from contextlib import suppress

import anyio

from shared.observe.supervision import Supervisor

READY, STOPPING, ALIVE = "READY=1", "STOPPING=1", "WATCHDOG=1"
LOOK_SECONDS = 10.0  # between messages when the unit has no watchdog


class ServiceManager:
    """Without NOTIFY_SOCKET in the environment no service manager listens, and nothing is sent."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        usec = environment.get("WATCHDOG_USEC", "")
        self._every = int(usec) / 3_000_000 if usec.isdecimal() and len(usec) < 16 else LOOK_SECONDS

    def tell(self, message: str) -> None:
        if self._address:
            with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
                link.sendto(message.encode(), self._address)

    async def tell_forever(self, supervisor: Supervisor) -> None:
        """Reports that this process is ready, and then that it is alive, for as long as it is."""
        self.tell(READY)
        while True:
            if not supervisor.stalled():
                self.tell(ALIVE)
            await anyio.sleep(self._every)
