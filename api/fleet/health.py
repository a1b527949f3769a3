"""`GET /healthz`: whether this process responds. `GET /readyz`: whether the service would accept and execute a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from api.fleet.agent_directory import AgentDirectory
from api.http.api_errors import JSON
from api.http.endpoint import Endpoint, ResponseOf
from api.http.json_value import JsonObject, compact
from shared.run.errors import Unavailable

# `_response` writes these bodies by hand. A test compares a real one with its model.


class Liveness(BaseModel):
    status: Literal["ok"]


class Readiness(BaseModel):
    status: Literal["ok", "unavailable"]
    workers: int | None = Field(None, description="Live workers.")
    missing: list[Literal["redis", "worker"]] | None = None


@dataclass(frozen=True)
class Health:
    directory: AgentDirectory

    @Endpoint(
        "GET",
        "/healthz",
        "live",
        "Tell whether this process responds.",
        {200: ResponseOf(Liveness, "It responds.")},
        scope=None,
    )
    async def live(self, _: Request) -> Response:
        return _response(200, {"status": "ok"})

    @Endpoint(
        "GET",
        "/readyz",
        "ready",
        "Tell whether the service would accept and execute a run.",
        {
            200: ResponseOf(Readiness, "It would accept and execute a run."),
            503: ResponseOf(Readiness, "It would not. `missing` names the cause."),
        },
        scope=None,
    )
    async def ready(self, _: Request) -> Response:
        """Responds 503 when Redis or a worker is missing."""
        try:
            workers = [seen for seen in await self.directory.workers(at_most=0) if seen.live]
        except Unavailable:
            return _response(503, {"status": "unavailable", "missing": ["redis"]})
        if not workers:
            return _response(503, {"status": "unavailable", "missing": ["worker"]})
        return _response(200, {"status": "ok", "workers": len(workers)})


def _response(status: int, body: JsonObject) -> Response:
    return Response(compact(body), status, headers={"Content-Type": JSON, "Cache-Control": "no-store"})
