"""`GET /openapi.json`: the API as an OpenAPI document. It is the same for every client as long as a release lives, so
the endpoint asks for no credential."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from api.http import api_errors
from api.http.endpoint import Endpoint, ResponseOf, endpoints_of
from api.openapi.document import document


class OpenApiPage:
    @Endpoint(
        "GET",
        "/openapi.json",
        "describe",
        "This description.",
        {200: ResponseOf(None, "It.", {"application/json": "object"})},
        scope=None,
    )
    async def show(self, request: Request) -> Response:
        return Response(document(endpoints_of(request.app.routes)), headers={"Content-Type": api_errors.JSON})
