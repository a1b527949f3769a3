"""An endpoint's promise to clients, declared on the method that keeps it.

The declaration is the one place that names path, method, parameters, bodies and scope. `routes_of` makes Starlette's
routes from it, and `api/openapi/` makes the OpenAPI document from the routes. Both happen once in a process. Starlette
calls the bare method, so the declaration costs a request nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Literal, TypeVar

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.http.auth import Scope
from api.http.parameters import Parameter

EVENT_STREAM: Mapping[str, str | None] = {"text/event-stream": None}  # OpenAPI 3.1 cannot describe its events

_MARK = "endpoint"  # the attribute of a handler that holds its declaration

HandlerMethod = TypeVar("HandlerMethod", bound=Callable[..., Awaitable[Response]])


@dataclass(frozen=True)
class ResponseOf:
    """A good response. `model` is its JSON body. `media` holds other content types, each with the JSON Schema type of
    the content, or None."""

    model: type[BaseModel] | None
    description: str
    media: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Endpoint:
    """A decorator for handlers. `name` is the operation's name in generated clients, and never changes."""

    method: Literal["GET", "POST", "DELETE"]
    path: str
    name: str
    summary: str
    responses: Mapping[int, ResponseOf]
    _: KW_ONLY
    parameters: tuple[Parameter, ...] = ()
    body: type[BaseModel] | None = None
    body_required: bool = True
    errors: tuple[int, ...] = ()  # statuses that do not follow from the other fields
    scope: Scope | None = Scope.API  # the credential needs it; None: the handler requires no credential

    def __call__(self, handler: HandlerMethod) -> HandlerMethod:
        setattr(handler, _MARK, self)
        return handler

    @property
    def error_statuses(self) -> list[int]:
        statuses = {*self.errors}
        if self.scope is not None:
            statuses |= {401, 403, 500, 503}
        if self.body is not None:
            statuses |= {400, 408, 413}
        for parameter in self.parameters:
            statuses.add(404 if parameter.place == "path" else 400)
        return sorted(statuses)


def routes_of(view: object) -> list[Route]:
    """A route for each declared method of the view, in the order of the class."""
    declared = ((name, getattr(method, _MARK, None)) for name, method in vars(type(view)).items())
    return [
        Route(endpoint.path, _handler(view, name), methods=[endpoint.method])
        for name, endpoint in declared
        if isinstance(endpoint, Endpoint)
    ]


def _handler(view: object, name: str) -> Callable[[Request], Awaitable[Response]]:
    handler: Callable[[Request], Awaitable[Response]] = getattr(view, name)
    return handler


def endpoints_of(routes: Iterable[BaseRoute]) -> tuple[Endpoint, ...]:
    """The declarations of the handlers of the routes. Pages of the monitor have none."""
    declared = (getattr(route.endpoint, _MARK, None) for route in routes if isinstance(route, Route))
    return tuple(endpoint for endpoint in declared if isinstance(endpoint, Endpoint))
