"""`GET /openapi.json`: the API as an OpenAPI document. Every client of a release gets the same document, so the
endpoint requires no credential."""

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
        "Describe the API.",
        {200: ResponseOf(None, "This document.", {"application/json": "object"})},
        scope=None,
    )
    async def show(self, request: Request) -> Response:
        return Response(document(endpoints_of(request.app.routes)), headers={"Content-Type": api_errors.JSON})
