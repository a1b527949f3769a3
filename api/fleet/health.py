"""`GET /healthz`: whether this process responds. `GET /readyz`: whether the service would accept and execute a run."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from api.fleet.agent_directory import AgentDirectory
from api.http.api_errors import JSON
from api.http.json_value import JsonObject, compact
from shared.run.errors import Unavailable


@dataclass(frozen=True)
class Health:
    directory: AgentDirectory

    async def live(self, _: Request) -> Response:
        return _answer(200, {"status": "ok"})

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
