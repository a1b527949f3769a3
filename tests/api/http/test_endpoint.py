from __future__ import annotations

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.http.auth import Scope
from api.http.endpoint import Endpoint, ResponseOf, endpoints_of, routes_of
from api.http.parameters import Number, Text


class Book(BaseModel):
    title: str


BOOK = Text("book", "Which.", place="path")
SCOPE = Scope.OPERATE
OK = {200: ResponseOf(None, "It is there.")}


class Books:
    @Endpoint("GET", "/books/new", "newBooks", "New ones.", OK, parameters=(Number("limit", "Most."),))
    async def new(self, _: Request) -> Response:
        return Response("new")

    @Endpoint("DELETE", "/books/{book}", "burn", "Burn one.", OK, parameters=(BOOK,), errors=(409,), scope=SCOPE)
    async def burn(self, request: Request) -> Response:
        return Response(BOOK.of(request))

    @Endpoint("POST", "/open", "open", "Is it open?", OK, scope=None)
    async def open(self, _: Request) -> Response:
        return Response("open")

    async def helper(self, _: Request) -> Response:
        return Response("declares nothing")


def test_each_declared_method_is_a_route_in_the_order_of_the_class() -> None:
    """Starlette takes the first route that fits, so a fixed path comes before one with a parameter."""
    books = Books()
    assert [(route.path, route.methods, route.endpoint) for route in routes_of(books)] == [
        ("/books/new", {"GET", "HEAD"}, books.new),
        ("/books/{book}", {"DELETE"}, books.burn),
        ("/open", {"POST"}, books.open),
    ]


def test_routes_lead_back_to_their_declarations() -> None:
    books = Books()
    page = Route("/page", books.helper)
    assert [endpoint.name for endpoint in endpoints_of([page, *routes_of(books)])] == ["newBooks", "burn", "open"]


def test_error_statuses_follow_from_what_is_declared() -> None:
    statuses = {endpoint.name: endpoint.error_statuses for endpoint in endpoints_of(routes_of(Books()))}
    assert statuses == {
        "newBooks": [400, 401, 403, 500, 503],
        "burn": [401, 403, 404, 409, 500, 503],
        "open": [],
    }
    endpoint = Endpoint("POST", "/books", "write", "Write one.", OK, body=Book)
    assert set(endpoint.error_statuses) >= {400, 408, 413}
