"""`GET /healthz`: whether this process serves. `GET /readyz`: whether the service would accept and execute a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from api.fleet.agent_directory import AgentDirectory
from api.fleet.departure import Departure
from api.http.api_errors import JSON
from api.http.endpoint import Endpoint, ResponseOf
from api.http.json_value import JsonObject, compact
from shared.observe.supervision import Supervisor
from shared.run.errors import Unavailable

# `_response` writes these bodies by hand. A test compares a real one with its model.


class Liveness(BaseModel):
    status: Literal["ok", "stalled"]
    loops: list[str] | None = Field(None, description="The loops of this process that are stuck or fail for too long.")


class Readiness(BaseModel):
    status: Literal["ok", "unavailable", "stalled", "stopping"]
    loops: list[str] | None = Field(None, description="The loops of this process that are stuck or fail for too long.")
    workers: int | None = Field(None, description="Live workers.")
    missing: list[Literal["redis", "worker"]] | None = None


@dataclass(frozen=True)
class Health:
    directory: AgentDirectory
    supervisor: Supervisor
    departure: Departure

    @Endpoint(
        "GET",
        "/healthz",
        "live",
        "Tell whether this process serves.",
        {
            200: ResponseOf(Liveness, "It serves. An outage of Redis is no fault of the process."),
            503: ResponseOf(Liveness, "It does not, and should be started again. `loops` names the cause."),
        },
        scope=None,
    )
    async def live(self, _: Request) -> Response:
        if loops := self.supervisor.stalled():
            return _response(503, {"status": "stalled", "loops": [*loops]})
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
        """Responds 503 when Redis or a worker is missing, a loop of this process does not go on, or it is about to
        stop."""
        if loops := self.supervisor.stalled():
            return _response(503, {"status": "stalled", "loops": [*loops]})
        if self.departure.announced:
            return _response(503, {"status": "stopping"})
        try:
            workers = [seen for seen in await self.directory.workers(at_most=0) if seen.live]
        except Unavailable:
            return _response(503, {"status": "unavailable", "missing": ["redis"]})
        if not workers:
            return _response(503, {"status": "unavailable", "missing": ["worker"]})
        return _response(200, {"status": "ok", "workers": len(workers)})


def _response(status: int, body: JsonObject) -> Response:
    return Response(compact(body), status, headers={"Content-Type": JSON, "Cache-Control": "no-store"})
