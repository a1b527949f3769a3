from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from shared.observe.service_manager import READY, ServiceManager
from shared.observe.supervision import Beat, Loop, Supervisor
from tests.wait import wait_until


class Listener:
    """The socket of a service manager."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.setblocking(False)
        self.heard = list[str]()

    def listen(self) -> list[str]:
        try:
            while True:
                self.heard.append(self.socket.recv(1_000).decode())
        except BlockingIOError:
            return self.heard


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Listener]:
    listener = Listener(str(tmp_path / "notify"))
    yield listener
    listener.socket.close()


async def test_a_process_reports_for_as_long_as_it_is_alive(listener: Listener) -> None:
    environment = {"NOTIFY_SOCKET": listener.socket.getsockname(), "WATCHDOG_USEC": "30000"}
    stuck, clock = anyio.Event(), [0.0]
    supervisor = Supervisor(clock=lambda: clock[0])

    async def beats_until_stuck(beat: Beat) -> None:
        await stuck.wait()

    async with anyio.create_task_group() as group:
        group.start_soon(supervisor.keep, Loop("loop", beats_until_stuck))
        group.start_soon(ServiceManager(environment).tell_forever, supervisor)
        await wait_until(lambda: listener.listen().count("WATCHDOG=1") > 2, "it reports")
        assert listener.heard[0] == READY
        clock[0] = 1_000.0
        await anyio.lowlevel.checkpoint()
        heard = len(listener.listen())
        with anyio.move_on_after(0.1):  # ten reports would fit into this time
            await wait_until(lambda: len(listener.listen()) > heard + 1, "it reports although a loop is stuck")
            pytest.fail("it reports although a loop is stuck")
        group.cancel_scope.cancel()


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": "/no/such/socket"}, {"WATCHDOG_USEC": "junk"}])
def test_without_a_service_manager_nothing_happens(environment: dict[str, str]) -> None:
    ServiceManager(environment).tell(READY)


def test_an_abstract_socket_is_reached() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("\0runrelay-test-notify")
        ServiceManager({"NOTIFY_SOCKET": "@runrelay-test-notify"}).tell(READY)
        assert listening.recv(100) == READY.encode()
