"""Builds the application: every endpoint on the services of the process, and the middleware around all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from redis.asyncio import Redis
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route

from api.admin.admin_routes import Admin, admin
from api.authenticators import metrics_authenticator
from api.chat.chat_completions import ChatCompletions
from api.chat.models import Models
from api.fleet.api_metrics import ApiMetrics
from api.fleet.departure import Departure
from api.fleet.front_page import Front
from api.fleet.health import Health
from api.fleet.metrics_page import MetricsPage
from api.http.access_log import AccessLog, route_names
from api.http.auth import Authenticator, LoggingAuthenticator
from api.http.endpoint import routes_of
from api.http.error_handlers import ERROR_HANDLERS
from api.http.request_tracing import RequestTracing
from api.http.shutdown_response import ShutdownResponse
from api.lifespan import running
from api.monitor.monitor_routes import monitor
from api.openapi.openapi_page import OpenApiPage
from api.runs.run_endpoints import RunEndpoints
from api.services import Services, assemble
from shared.observe.supervision import Loop, Supervisor
from shared.observe.tracing import Tracer
from shared.redis.pipe import Pipes
from shared.settings import Settings


@dataclass(frozen=True)
class Application:
    """The ASGI app, and two functions that end its streams before the process stops. The server calls `end_pages` at
    once, for the pages of the monitor, and `end_streams` when there is no time left, for clients."""

    app: Starlette
    end_streams: Callable[[], None]
    end_pages: Callable[[], None]
    supervisor: Supervisor
    departure: Departure


def create_app(
    settings: Settings,
    pipes: Pipes,
    pubsub: Redis,
    *,
    name: str,
    metrics: ApiMetrics | None = None,
    tracer: Tracer | None = None,
) -> Application:
    """Opens nothing: `pubsub` and `pipes` outlive the app. `pubsub` is a client of one connection to the Redis of the
    logs, without a socket timeout. `name` identifies this process among others. Without `metrics` the app creates its
    own.
    """
    metrics = metrics or ApiMetrics(CollectorRegistry())
    services = assemble(settings, pipes, pubsub, name=name, metrics=metrics)
    authenticator, departure = LoggingAuthenticator(services.credentials), Departure()
    admin_views = _admin(services, authenticator)
    site = monitor(services.credentials, admin_views, services.access, services.events)
    views = (*_views(services, authenticator, departure), *admin_views.views, OpenApiPage())
    routes = [*(route for view in views for route in routes_of(view)), *site.routes]
    app = Starlette(
        routes=routes,
        middleware=_middleware(routes, metrics, tracer),
        exception_handlers=ERROR_HANDLERS,
        lifespan=running(services.supervisor, (*services.loops, Loop("pages", site.look_forever))),
    )
    app.router.redirect_slashes = False
    return Application(app, services.relay.end, site.end, services.supervisor, departure)


def _views(services: Services, authenticator: Authenticator, departure: Departure) -> tuple[object, ...]:
    """The endpoints for clients and for machines."""
    settings, directory = services.settings, services.directory
    return (
        ChatCompletions(
            authenticator=authenticator,
            directory=directory,
            submission=services.submission,
            access=services.access,
            janitor=services.janitor,
            max_body_bytes=settings.max_body_bytes,
            empty_answer=settings.empty_answer,
        ),
        RunEndpoints(
            authenticator=authenticator,
            directory=directory,
            submission=services.submission,
            access=services.access,
            janitor=services.janitor,
            events=services.events,
            index=services.index,
            max_body_bytes=settings.max_body_bytes,
        ),
        Models(authenticator, directory),
        Front(),
        Health(directory, services.supervisor, departure),
        MetricsPage(metrics_authenticator(settings), services.metrics, services.depth, directory),
    )


def _admin(services: Services, authenticator: Authenticator) -> Admin:
    return admin(
        authenticator,
        services.directory,
        services.access,
        services.submission,
        services.janitor,
        services.events,
        services.pipes.ledger,
        services.keys,
    )


def _middleware(routes: Sequence[Route], metrics: ApiMetrics, tracer: Tracer | None) -> list[Middleware]:
    """The middleware, outermost first."""
    names = route_names(routes)
    traced = [Middleware(RequestTracing, tracer, names)] if tracer else []
    return [Middleware(AccessLog, metrics, names), *traced, Middleware(ShutdownResponse)]
