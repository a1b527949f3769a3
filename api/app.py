"""The application: routes, the answers to errors, and what lives as long as the process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import anyio
from redis.asyncio import Redis
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from api import failures
from api.auth import Credentials, Gate, LoopbackOnly
from api.completions import ChatCompletions
from api.directory import Directory
from api.failures import Failure
from api.front import Front
from api.health import Health
from api.hub import Hub
from api.janitor import Janitor
from api.models import Models
from api.relay import Relay
from shared.errors import Refused, Unavailable
from shared.keys import Keys
from shared.ledger import Bounds, Ledger
from shared.log import EventLog
from shared.presence import Presence
from shared.redis import Pipes
from shared.settings import Settings


def gate(settings: Settings) -> Gate:
    return LoopbackOnly() if settings.auth == "none" else Credentials(settings.credentials)


def create_app(settings: Settings, pipes: Pipes, pubsub: Redis, *, name: str) -> Starlette:
    """`pubsub` is a client of one connection, to where the logs are; it and `pipes` outlive the app. `name` is this
    process among others.
    """
    keys = Keys(settings.namespace)
    retention_ms = int(settings.retention_seconds * 1000)
    queue_timeout_ms = int(settings.queue_timeout_seconds * 1000)
    ledger = Ledger(pipes.ledger, keys)
    events = EventLog(pipes.events, keys, retention_ms=retention_ms)
    bounds = Bounds(retention_ms, queue_timeout_ms, settings.max_waiting_runs, settings.max_waiting_per_session)
    hub = Hub(pubsub, resting=keys.channel(name))
    janitor = Janitor(name, ledger, events, queue_timeout_ms=queue_timeout_ms)
    directory = Directory(Presence(pipes.ledger, keys))
    front = Front(Relay(hub, events, ledger), ledger, events, bounds)
    door = gate(settings)
    chat = ChatCompletions(door, directory, front, settings.max_body_bytes, settings.empty_answer)
    models, health = Models(door, directory), Health(directory)
    app = Starlette(
        routes=[
            Route("/v1/chat/completions", chat.create, methods=["POST"]),
            Route("/v1/models", models.index, methods=["GET"]),
            Route("/v1/models/{model}", models.show, methods=["GET"]),
            Route("/healthz", health.live, methods=["GET"]),
            Route("/readyz", health.ready, methods=["GET"]),
        ],
        exception_handlers={
            Failure: _failure,
            Refused: _refused,
            Unavailable: _refused,
            HTTPException: _http,
            Exception: _bug,
        },
        lifespan=_beside(hub.listen, janitor.tidy_forever),
    )
    app.router.redirect_slashes = False
    return app


def _beside(
    *loops: Callable[[], Coroutine[None, None, None]],
) -> Callable[[Starlette], AbstractAsyncContextManager[None]]:
    """Runs loops as long as the app."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with anyio.create_task_group() as crew:
            for loop in loops:
                crew.start_soon(loop, name=loop.__qualname__)
            yield
            crew.cancel_scope.cancel()

    return lifespan


async def _failure(_: Request, failure: Exception) -> Response:
    assert isinstance(failure, Failure)
    return Response(failure.body, failure.status, headers=failure.headers)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused | Unavailable)
    return await _failure(request, failures.refused(error))


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        return await _failure(request, Failure(404, "Not Found", failures.INVALID))
    return PlainTextResponse(error.detail, error.status_code, headers=error.headers)


async def _bug(request: Request, _: Exception) -> Response:
    """The server's log has the traceback. Nobody knows whether a run was accepted, so a client must not post again."""
    return await _failure(request, failures.internal_error())
