"""`python -m api`: reads the environment, opens what the API needs, and serves until a signal stops it."""

from __future__ import annotations

import asyncio
import math
import os
import socket
import time
from types import FrameType

import anyio
import structlog
import uvicorn
import uvloop
from prometheus_client import CollectorRegistry

from api.app import Application, create_app
from api.fleet.api_metrics import ApiMetrics
from api.fleet.departure import Departure
from shared.bind import bind, is_loopback, let_no_more_in
from shared.http_connections import bounded, raise_descriptor_limit
from shared.ledger.presence import process_name
from shared.observe.garbage import freeze_startup_objects
from shared.observe.logging import configure_logging, log_errors_of
from shared.observe.service_manager import STOPPING, ServiceManager
from shared.observe.supervision import ending_in_words
from shared.observe.tracing import Tracer, tracing
from shared.redis.client import closed_in_time, open_redis
from shared.redis.pipe import open_pipes
from shared.redis.startup import check_redis
from shared.run.errors import SettingsError
from shared.settings import Settings, near_misses, read_settings

logger = structlog.get_logger()

LOOK_SECONDS = 0.2  # uvicorn sets a flag when it is to stop, and no event
PATIENCE_SECONDS = 2.5  # of a call for Redis: clients get their 503 within 3 s
CLOSE_SECONDS = 1.0  # for the connections to Redis, which may be away
ACCEPT_SECONDS = 0.1  # for the connections that have begun when the process stops
FAREWELL_SECONDS = 1.0  # in which the last frames reach their clients


async def serve(settings: Settings, bound: list[socket.socket], tracer: Tracer | None, manager: ServiceManager) -> None:
    """Accepts connections on all of `bound` once everything else is ready."""
    log_errors_of(asyncio.get_running_loop())
    metrics = ApiMetrics(CollectorRegistry())
    await check_redis(REDIS_URL=settings.redis_url, EVENTS_REDIS_URL=settings.events_redis_url)
    async with closed_in_time(CLOSE_SECONDS) as opened:
        pipes = await opened.enter_async_context(
            open_pipes(settings.redis_url, settings.events_url, instrumentation=metrics, patience=PATIENCE_SECONDS)
        )
        pubsub = await opened.enter_async_context(open_redis(settings.events_url, socket_timeout=None))
        application = create_app(settings, pipes, pubsub, name=process_name("api"), metrics=metrics, tracer=tracer)
        config = uvicorn.Config(
            application.app,
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=math.ceil(settings.drain_seconds),
            http=bounded(raise_descriptor_limit()),
        )
        server = LameDuckServer(config, application.departure, settings.lame_duck_seconds)
        freeze_startup_objects()
        async with anyio.create_task_group() as beside:
            beside.start_soon(_end_streams_in_time, server, application, settings.drain_seconds)
            beside.start_soon(application.supervisor.give_up_when_stuck)
            beside.start_soon(manager.tell_forever, application.supervisor)
            await server.serve(bound)
            manager.tell(STOPPING)
            beside.cancel_scope.cancel()


class LameDuckServer(uvicorn.Server):
    """Goes on serving for some seconds after the first signal. The second one ends that time, and further ones are
    uvicorn's."""

    def __init__(self, config: uvicorn.Config, departure: Departure, seconds: float) -> None:
        super().__init__(config)
        self._departure = departure
        self._seconds = seconds
        self.leaves_at = math.inf

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._departure.announced or not self._seconds:
            super().handle_exit(sig, frame)
        else:
            self._departure.announced = True
            self.leaves_at = time.monotonic() + self._seconds

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for one in sockets or ():
            let_no_more_in(one)
        await anyio.sleep(ACCEPT_SECONDS)
        await super().shutdown(sockets)

    async def on_tick(self, counter: int) -> bool:
        if time.monotonic() > self.leaves_at:
            self.should_exit = True
        return await super().on_tick(counter)


async def _end_streams_in_time(server: uvicorn.Server, application: Application, seconds: float) -> None:
    """Ends the streams that are left, with a last frame, before uvicorn cuts them off. After SIGTERM a stream goes on
    until its run ends or the time is up. Pages of the monitor end at once: each finds another process by itself."""
    while not server.should_exit:  # noqa: ASYNC110 - uvicorn has a flag, and no event
        await anyio.sleep(LOOK_SECONDS)
    application.end_pages()
    await anyio.sleep(max(0, seconds - FAREWELL_SECONDS))
    application.end_streams()


def checked(settings: Settings) -> Settings:
    """Returns the settings. Raises SettingsError when every host of the network could use the service, or no client."""
    if settings.auth == "none" and not is_loopback(settings.bind):
        raise SettingsError(
            f"HOST={settings.bind!r}: with AUTH=none the API binds a loopback address only, because any client that"
            " reaches it can run your agents. Set HOST=127.0.0.1, or AUTH=token and API_TOKENS=name:token."
        )
    if settings.auth == "token" and not settings.credentials:
        raise SettingsError(
            "API_TOKENS is empty: set API_TOKENS=name:token, or AUTH=none for a service on this machine only."
        )
    return settings


def main() -> None:
    with ending_in_words():
        settings = checked(read_settings(os.environ))
        bound = bind(settings.bind, "PORT", settings.port)
        configure_logging(settings.log_format, content=settings.log_content, role="web")
        for miss in near_misses(os.environ):
            logger.warning("setting.unknown", why=miss)
        with tracing(os.environ, "web") as tracer:
            uvloop.run(serve(settings, bound, tracer, ServiceManager(os.environ)))


if __name__ == "__main__":
    main()
