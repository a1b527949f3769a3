"""The application: routes, the answers to errors, and what lives as long as the process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import anyio
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from api.admin.admin_routes import admin
from api.chat.chat_completions import ChatCompletions
from api.chat.models import Models
from api.fleet.agent_directory import AgentDirectory
from api.fleet.api_metrics import ApiMetrics
from api.fleet.health import Health
from api.fleet.metrics_page import MetricsPage
from api.fleet.web_announcer import WebAnnouncer
from api.http import api_errors
from api.http.access_log import AccessLog, route_names
from api.http.api_errors import ApiError
from api.http.auth import Authenticator, Credentials, LoggingAuthenticator, LoopbackOnly, Scope
from api.http.request_tracing import RequestTracing
from api.http.shutdown_response import ShutdownResponse
from api.intake.janitor import Janitor
from api.intake.submission import Submission
from api.monitor.monitor_routes import monitor
from api.openapi import document
from api.relay.hub import Hub
from api.relay.reader_heartbeat import ReaderHeartbeat
from api.relay.relay import Relay
from api.runs.run_endpoints import RunEndpoints
from shared.ledger.ledger import Ledger, QueueLimits
from shared.ledger.presence import Presence
from shared.ledger.queue_depth import QueueDepth
from shared.ledger.reader_leases import ReaderLeases
from shared.ledger.run_index import RunIndex
from shared.log.event_log import EventLog
from shared.observe.loop_lag import LoopLag
from shared.observe.tracing import Tracer
from shared.redis.keys import Keys
from shared.redis.pipe import Pipes
from shared.run.errors import Refused, Unavailable
from shared.settings import Settings

Loop = Callable[[], Coroutine[None, None, None]]


def api_authenticator(settings: Settings) -> Credentials | LoopbackOnly:
    if settings.auth == "none":
        return LoopbackOnly()
    monitor, operate = _named(settings.monitor_tokens), _named(settings.operate_tokens)
    return Credentials({Scope.API: settings.credentials, Scope.MONITOR: monitor, Scope.OPERATE: operate})


def metrics_authenticator(settings: Settings) -> Authenticator:
    """Whoever may look at everything, and the scraper, whose token opens nothing else."""
    if settings.auth == "none":
        return LoopbackOnly()
    scraper = {"metrics": {settings.metrics_token}} if settings.metrics_token else {}
    monitor, operate = _named(settings.monitor_tokens) | scraper, _named(settings.operate_tokens)
    return Credentials({Scope.MONITOR: monitor, Scope.OPERATE: operate})


def _named(tokens: Mapping[str, str]) -> dict[str, set[str]]:
    return {name: {token} for name, token in tokens.items()}


@dataclass(frozen=True)
class Application:
    """The ASGI app, and the acts that end its streams before the process stops: those of people who look on at once,
    those of clients when there is no time left."""

    app: Starlette
    end_streams: Callable[[], None]
    end_pages: Callable[[], None]


def create_app(
    settings: Settings,
    pipes: Pipes,
    pubsub: Redis,
    *,
    name: str,
    metrics: ApiMetrics | None = None,
    tracer: Tracer | None = None,
) -> Application:
    """`pubsub` is a client of one connection to where the logs are, without a socket timeout. It and `pipes` outlive
    the app. `name` is this process among others. Without `metrics` the app has some of its own.
    """
    metrics = metrics or ApiMetrics(CollectorRegistry())
    keys = Keys(settings.namespace)
    retention_ms = int(settings.retention_seconds * 1000)
    queue_timeout_ms = int(settings.queue_timeout_seconds * 1000)
    ledger = Ledger(pipes.ledger, keys)
    events = EventLog(pipes.events, keys, retention_ms=retention_ms)
    attendance = ReaderLeases(pipes.ledger, keys)
    bounds = QueueLimits(retention_ms, queue_timeout_ms, settings.max_waiting_runs, settings.max_waiting_per_session)
    hub = Hub(pubsub, resting=keys.channel(name))
    relay, readers = Relay(hub, events, ledger, instrumentation=metrics), ReaderHeartbeat(attendance)
    janitor = Janitor(name, ledger, events, attendance, queue_timeout_ms=queue_timeout_ms, instrumentation=metrics)
    presence, lag = Presence(pipes.ledger, keys), LoopLag(metrics.lagged)
    directory, announcer = AgentDirectory(presence), WebAnnouncer(name, presence, readers, lag)
    submission = Submission(relay, readers, ledger, events, bounds, instrumentation=metrics)
    credentials = api_authenticator(settings)
    authenticator = LoggingAuthenticator(credentials)
    index = RunIndex(pipes.ledger, keys)
    chat = ChatCompletions(
        authenticator, directory, submission, janitor, settings.max_body_bytes, settings.empty_answer
    )
    runs = RunEndpoints(authenticator, directory, submission, janitor, events, index, settings.max_body_bytes)
    operated = admin(authenticator, directory, submission, janitor, events, pipes.ledger, keys)
    watched = monitor(credentials, operated, submission, events)
    models, health = Models(authenticator, directory), Health(directory)
    page = MetricsPage(metrics_authenticator(settings), metrics, QueueDepth(pipes.ledger, keys), directory)
    routes = [
        Route("/v1/chat/completions", chat.create, methods=["POST"]),
        Route("/v1/chat/completions/{run_id}", chat.retrieve, methods=["GET"]),
        Route("/v1/runs", runs.create, methods=["POST"]),
        Route("/v1/runs", runs.list, methods=["GET"]),
        Route("/v1/runs/{run_id}", runs.show, methods=["GET"]),
        Route("/v1/runs/{run_id}/events", runs.follow, methods=["GET"]),
        Route("/v1/runs/{run_id}/cancel", runs.cancel, methods=["POST"]),
        Route("/v1/runs/{run_id}/wait", runs.wait, methods=["GET"]),
        *operated.routes,
        *watched.routes,
        Route("/v1/models", models.index, methods=["GET"]),
        Route("/v1/models/{model}", models.show, methods=["GET"]),
        Route("/healthz", health.live, methods=["GET"]),
        Route("/readyz", health.ready, methods=["GET"]),
        Route("/metrics", page.show, methods=["GET"]),
        Route("/openapi.json", document.show, methods=["GET"]),
    ]
    names = route_names(routes)
    app = Starlette(
        routes=routes,
        middleware=[
            Middleware(AccessLog, metrics, names),
            *([Middleware(RequestTracing, tracer, names)] if tracer else []),
            Middleware(ShutdownResponse),
        ],
        exception_handlers={
            ApiError: _failure,
            Refused: _refused,
            Unavailable: _refused,
            HTTPException: _http,
            Exception: _bug,
        },
        lifespan=_beside(
            hub.listen,
            janitor.tidy_forever,
            readers.attend_forever,
            lag.watch_forever,
            announcer.announce_forever,
            watched.look_forever,
        ),
    )
    app.router.redirect_slashes = False
    return Application(app, relay.end, watched.end)


def _beside(*loops: Loop) -> Callable[[Starlette], AbstractAsyncContextManager[None]]:
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
    assert isinstance(failure, ApiError)
    return Response(failure.body, failure.status, headers=failure.headers)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused | Unavailable)
    return await _failure(request, api_errors.refused(error))


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        return await _failure(request, ApiError(404, "Not Found", api_errors.INVALID))
    return PlainTextResponse(error.detail, error.status_code, headers=error.headers)


async def _bug(request: Request, _: Exception) -> Response:
    """The server's log has the traceback. Nobody knows whether a run was accepted, so a client must not post again."""
    return await _failure(request, api_errors.internal_error())
