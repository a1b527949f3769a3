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

# `_answer` writes these bodies by hand; a test holds a real one against its model.


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
        "Whether this process answers.",
        {200: ResponseOf(Liveness, "It does.")},
        scope=None,
    )
    async def live(self, _: Request) -> Response:
        return _answer(200, {"status": "ok"})

    @Endpoint(
        "GET",
        "/readyz",
        "ready",
        "Whether a run would be accepted and executed.",
        {
            200: ResponseOf(Readiness, "It would."),
            503: ResponseOf(Readiness, "It would not; `missing` says why."),
        },
        scope=None,
    )
    async def ready(self, _: Request) -> Response:
        """A 503 names what is missing: `redis` or `worker`."""
        try:
            workers = [seen for seen in await self.directory.workers(at_most=0) if seen.live]
        except Unavailable:
            return _answer(503, {"status": "unavailable", "missing": ["redis"]})
        if not workers:
            return _answer(503, {"status": "unavailable", "missing": ["worker"]})
        return _answer(200, {"status": "ok", "workers": len(workers)})


def _answer(status: int, body: JsonObject) -> Response:
    return Response(compact(body), status, headers={"Content-Type": JSON, "Cache-Control": "no-store"})
