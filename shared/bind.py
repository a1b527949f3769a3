"""Binds the port before a process opens anything else. When uvicorn binds a port that is in use, the operator gets a
traceback."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterable
from contextlib import ExitStack
from ipaddress import ip_address

from shared.run.errors import SettingsError

Address = tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]  # as getaddrinfo returns it


def bind(host: str, setting: str, port: int) -> list[socket.socket]:
    """Binds a socket on each address of the host: `localhost` has two. The sockets do not listen yet. Raises
    SettingsError, which names the `setting` of the port."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return bind_all({(row[0], row[4]) for row in found})
    except OSError as refused:
        raise SettingsError(f"HOST={host!r}, {setting}={port}: cannot listen there: {refused.strerror}") from refused


def bind_all(addresses: Iterable[tuple[socket.AddressFamily, Address]]) -> list[socket.socket]:
    """Binds a socket on each of the addresses that this machine has: many containers have a name for ::1 but no IPv6.
    Raises OSError when the machine has none of them, or when one is in use."""
    bound: list[socket.socket] = []
    with ExitStack() as stack:
        for family, address in addresses:
            try:
                bound.append(_bound(family, address))
            except OSError as refused:
                if refused.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    raise
            else:
                stack.enter_context(bound[-1])
        if not bound:
            raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
        stack.pop_all()
    return bound


def _bound(family: socket.AddressFamily, address: Address) -> socket.socket:
    with ExitStack() as stack:
        bound = stack.enter_context(socket.socket(family))
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a restart need not wait for old connections
        bound.bind(address)
        stack.pop_all()
    return bound


def is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
