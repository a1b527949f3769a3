"""`GET /`: what this is, for whoever opens the address of the service."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from api.http.api_errors import JSON
from api.http.endpoint import Endpoint, ResponseOf


class FrontPage(BaseModel):
    service: Literal["runrelay"] = "runrelay"
    models: str = "/v1/models"
    openapi: str = "/openapi.json"
    monitor: str = "/monitor"


class Front:
    @Endpoint(
        "GET",
        "/",
        "front",
        "Tell what this is. A browser is sent to the monitor.",
        {200: ResponseOf(FrontPage, "The first places to look at.")},
        scope=None,
    )
    async def front(self, request: Request) -> Response:
        if "text/html" in request.headers.get("accept", ""):
            return RedirectResponse("/monitor", 303)
        return Response(FrontPage().model_dump_json(), media_type=JSON)
