"""Chooses ports for servers that a test starts later, in a process that gets the number."""

from __future__ import annotations

import itertools
import random
import socket

# These are below the ports that Linux and macOS choose for a socket without a port. After a test has chosen a port and
# before its server listens there, a connection of a parallel test could otherwise get it. Each process of the tests
# begins at a number of its own, and counts on.
_PORTS = itertools.count(random.randrange(10_000, 30_000))


def free_port(*further: int) -> int:
    """A port on which no process listens, nor on those that are so much `further` on."""
    return next(port for port in _PORTS if all(_is_free(port + more) for more in (0, *further)))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
