"""Binds the port before a process opens anything else, because the operator gets a traceback when uvicorn binds a port
that is in use; and leaves it without resetting a connection."""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
import sys
from collections.abc import Iterable
from contextlib import ExitStack, suppress
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


def let_no_more_in(listening: socket.socket) -> None:
    """From now on no client can begin a connection to the socket; those that have begun may be accepted.

    A socket that is closed at once resets the connections in its queue, and a proxy takes that for a failure of the
    request that it has sent already. The kernel drops their beginnings here instead, so these clients try again a
    second later, and find the socket closed: then a proxy tries another process. Only Linux can do this.
    """
    if sys.platform == "linux":
        program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in _DROP_BEGINNINGS))
        filter = struct.pack("HP", len(_DROP_BEGINNINGS), ctypes.addressof(program))
        with suppress(OSError):  # a sandbox may forbid it
            listening.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, filter)


_SO_ATTACH_FILTER = 26  # asm-generic/socket.h; Python has no name for it

# A classic BPF program (linux/filter.h): operation, where to go if true and if false, operand. A packet begins with its
# TCP header, whose byte 13 has the flags.
_DROP_BEGINNINGS = (
    (0x30, 0, 0, 13),  # load the flags
    (0x45, 0, 1, 0x02),  # is it SYN?
    (0x06, 0, 0, 0),  # then drop the packet
    (0x06, 0, 0, 0xFFFFFFFF),  # else pass all of it
)


def is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
