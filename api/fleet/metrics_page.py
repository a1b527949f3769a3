"""`GET /metrics`: the metrics of this process and, from Redis, of the whole service."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from api.fleet.agent_directory import AgentDirectory
from api.fleet.api_metrics import ApiMetrics
from api.http.auth import Authenticator, Scope
from api.http.endpoint import Endpoint, ResponseOf
from shared.ledger.presence import known_agents
from shared.ledger.queue_depth import QueueDepth
from shared.observe.process_metrics import exposition
from shared.run.errors import Unavailable

_TEXTS = {"text/plain": "string", "application/openmetrics-text": "string"}


@dataclass(frozen=True)
class MetricsPage:
    authenticator: Authenticator
    metrics: ApiMetrics
    depth: QueueDepth
    directory: AgentDirectory

    @Endpoint(
        "GET",
        "/metrics",
        "metrics",
        "Show the metrics of this process and, from Redis, of the whole service, for Prometheus.",
        {200: ResponseOf(None, "The metrics, in the form that `Accept` prefers.", _TEXTS)},
        scope=Scope.MONITOR,
    )
    async def show(self, request: Request) -> Response:
        """Responds 200 also while Redis is away: with `runrelay_redis_up 0` and without the values from Redis."""
        self.authenticator.authenticate(request.headers, Scope.MONITOR)
        try:
            workers, depth = await self.directory.workers(), await self.depth.read()
        except Unavailable:
            self.metrics.hide_fleet()
        else:
            self.metrics.know(known_agents(workers))
            self.metrics.show_fleet(depth, workers)
        body, content_type = exposition(self.metrics.registry, request.headers.get("accept", ""))
        return Response(body, headers={"Content-Type": content_type, "Cache-Control": "no-store"})
