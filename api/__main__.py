"""`python -m api`: reads the environment, opens what the API needs, and serves until it is told to stop."""

from __future__ import annotations

import errno
import math
import os
import socket
import sys
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from ipaddress import ip_address

import anyio
import uvicorn
import uvloop

from api.app import create_app
from shared.errors import SettingsError
from shared.logs import configure_logs
from shared.presence import process_name
from shared.redis import opened, piped
from shared.settings import Settings, read_settings

LOOK_SECONDS = 0.2  # uvicorn says by a flag, and not by an event, that it was asked to stop
FAREWELL_SECONDS = 1.0  # for the last frames to reach their clients


async def serve(settings: Settings, bound: list[socket.socket]) -> None:
    """Listens on all of `bound` once all else is ready."""
    async with (
        piped(settings.redis_url, settings.events_url) as pipes,
        opened(settings.events_url) as pubsub,
    ):
        application = create_app(settings, pipes, pubsub, name=process_name("api"))
        config = uvicorn.Config(
            application.app,
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=math.ceil(settings.drain_seconds),
        )
        server = uvicorn.Server(config)
        async with anyio.create_task_group() as beside:
            beside.start_soon(_end_streams_in_time, server, application.end_streams, settings.drain_seconds)
            await server.serve(bound)
            beside.cancel_scope.cancel()


async def _end_streams_in_time(server: uvicorn.Server, end_streams: Callable[[], None], seconds: float) -> None:
    """After SIGTERM streams go on until their runs end. Those left are told so, before uvicorn cuts them off."""
    while not server.should_exit:  # noqa: ASYNC110 - a flag of uvicorn, and no event
        await anyio.sleep(LOOK_SECONDS)
    await anyio.sleep(max(0, seconds - FAREWELL_SECONDS))
    end_streams()


def checked(settings: Settings) -> Settings:
    """Raises SettingsError for a service that anybody could use, or nobody."""
    if settings.auth == "none" and not _is_loopback(settings.bind):
        raise SettingsError(
            f"HOST={settings.bind!r}: with AUTH=none the API binds a loopback address only, because whoever reaches it"
            " can run your agents. Set HOST=127.0.0.1, or AUTH=token and API_TOKENS=name:token."
        )
    if settings.auth == "token" and not settings.credentials:
        raise SettingsError(
            "API_TOKENS is empty: set API_TOKENS=name:token, or AUTH=none for a service on this machine only."
        )
    return settings


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def bind(settings: Settings) -> list[socket.socket]:
    """On each address that the host stands for: `localhost` is two. Raises SettingsError.

    Before anything is opened: left to uvicorn, a port in use is a traceback.
    """
    try:
        found = socket.getaddrinfo(settings.bind, settings.port, type=socket.SOCK_STREAM)
        return bind_all({(row[0], row[4]) for row in found})
    except OSError as refused:
        where = f"HOST={settings.bind!r}, PORT={settings.port}"
        raise SettingsError(f"{where}: cannot listen there: {refused.strerror}") from None


Address = tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]  # as getaddrinfo gives it


def bind_all(addresses: Iterable[tuple[socket.AddressFamily, Address]]) -> list[socket.socket]:
    """A socket on each of the addresses that this machine has: many containers know a name for ::1, and no IPv6. Raises
    OSError when it has none of them, or when one is taken."""
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


def main() -> None:
    try:
        settings = checked(read_settings(os.environ))
        bound = bind(settings)
    except SettingsError as wrong:
        sys.exit(f"runrelay: {wrong}")
    configure_logs(settings.log_format, role="web")
    uvloop.run(serve(settings, bound))


if __name__ == "__main__":
    main()
