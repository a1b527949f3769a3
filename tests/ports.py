"""Ports for servers that are started later, by a process that is told the number."""

from __future__ import annotations

import itertools
import random
import socket

# Below the ports that Linux and macOS give to whoever asks for any: between the moment that a test chooses a port and
# the moment that its server listens there, a connection of another test that runs beside it would take it. Each process
# of the tests begins elsewhere, and counts on.
_PORTS = itertools.count(random.randrange(10_000, 30_000))


def free_port() -> int:
    """Nobody listens there."""
    return next(port for port in _PORTS if _is_free(port))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
