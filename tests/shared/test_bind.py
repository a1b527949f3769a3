from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from shared.bind import bind, bind_all, is_loopback, let_no_more_in
from shared.run.errors import SettingsError


@contextmanager
def bound(host: str, port: int) -> Iterator[set[str]]:
    with ExitStack() as stack:
        yield {stack.enter_context(one).getsockname()[0] for one in bind(host, "PORT", port)}


def is_here(address: str) -> bool:
    """Whether this machine has the address."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True


def test_a_name_is_bound_at_each_of_its_addresses(unused_port: int) -> None:
    named = {str(row[4][0]) for row in socket.getaddrinfo("localhost", None)}
    with bound("localhost", unused_port) as addresses:
        assert addresses == set(filter(is_here, named)) != set()


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_an_address_is_bound_alone(unused_port: int, address: str) -> None:
    if not is_here(address):
        pytest.skip("this machine has no IPv6")
    with bound(address, unused_port) as addresses:
        assert addresses == {address}


def test_an_address_that_this_machine_has_not_is_left_out(unused_port: int) -> None:
    """192.0.2.1 is an address for documentation, which no machine has."""
    here, absent = ("127.0.0.1", unused_port), ("192.0.2.1", unused_port)
    (only,) = bind_all([(socket.AF_INET, absent), (socket.AF_INET, here)])
    with only:
        assert only.getsockname() == here


def test_where_one_address_is_taken_none_is_kept(unused_port: int) -> None:
    """A socket that stayed open would fail the test with a ResourceWarning."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", unused_port))
        taken.listen()
        both = [(socket.AF_INET, (address, unused_port)) for address in ("127.0.0.2", "127.0.0.1")]
        with pytest.raises(OSError, match="in use"):
            bind_all(both)


def test_a_port_that_is_taken_is_told(unused_port: int) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", unused_port))
        taken.listen()
        with pytest.raises(SettingsError, match=rf"HOST='localhost', PORT={unused_port}: .* in use"):
            bind("localhost", "PORT", unused_port)


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_a_host_that_is_not_this_machine_is_told(unused_port: int, host: str) -> None:
    with pytest.raises(SettingsError, match=f"HOST='{host}', PORT={unused_port}: cannot listen there: "):
        bind(host, "PORT", unused_port)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.1.2.3"])
def test_this_machines_own_addresses_are_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.com"])  # noqa: S104 - nothing is bound here
def test_others_are_not(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can refuse connections that begin")
def test_whoever_has_come_is_served_and_whoever_comes_later_is_refused(unused_port: int) -> None:
    (listening,) = bind("127.0.0.1", "PORT", unused_port)
    with listening, socket.create_connection(started(listening)) as early, socket.socket() as late:
        let_no_more_in(listening)
        late.setblocking(False)
        late.connect_ex(listening.getsockname())
        accepted, _ = listening.accept()
        with accepted:
            early.sendall(b"Hi")
            assert accepted.recv(9) == b"Hi"
        listening.setblocking(False)
        with pytest.raises(BlockingIOError):
            listening.accept()
        listening.close()
        late.setblocking(True)
        with pytest.raises(ConnectionRefusedError):  # when the kernel tries again, after a second
            late.sendall(b"Hi")


def started(listening: socket.socket) -> tuple[str, int]:
    listening.listen()
    host, port = listening.getsockname()
    return host, port
