"""`/v1/admin/workers`: the processes of the service, and which of the workers take runs."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from api.http import api_errors
from api.http.auth import Authenticator, Scope
from api.http.endpoint import Endpoint, ResponseOf
from api.http.json_response import json_response
from api.http.parameters import Text
from shared.ledger.operations import Operations
from shared.ledger.operator_views import WebView, WorkerState, WorkersView, WorkerView
from shared.ledger.presence import Presence, SeenWeb, SeenWorker
from shared.redis.keys import WORKER_TTL_MS

WORKER = Text("worker", "`name` of the worker.", place="path")

_IN_A_MOMENT = {202: ResponseOf(WorkersView, "It does so in a moment.")}


@dataclass(frozen=True)
class AdminWorkers:
    authenticator: Authenticator
    presence: Presence
    operations: Operations

    @Endpoint(
        "GET",
        "/v1/admin/workers",
        "listWorkers",
        "The processes of the service.",
        {200: ResponseOf(WorkersView, "The processes.")},
        scope=Scope.MONITOR,
    )
    async def show(self, request: Request) -> Response:
        self.authenticator.authenticate(request.headers, Scope.MONITOR)
        return json_response(await self.view())

    @Endpoint(
        "POST",
        "/v1/admin/workers/{worker}/drain",
        "drainWorker",
        "Have a worker finish what it has and take nothing more, until it is resumed or started anew.",
        _IN_A_MOMENT,
        parameters=(WORKER,),
        scope=Scope.OPERATE,
    )
    async def drain(self, request: Request) -> Response:
        """202: the worker takes no more runs, in a moment, until it is resumed or started anew."""
        who, worker = self.authenticator.authenticate(request.headers, Scope.OPERATE), WORKER.of(request)
        await self.drain_worker(worker, who=who)
        return json_response(await self.view(), 202)

    async def drain_worker(self, worker: str, *, who: str) -> None:
        """Raises ApiError 404 and Unavailable."""
        if not await self.operations.drain(worker, who=who):
            raise api_errors.worker_not_found(worker)

    @Endpoint(
        "POST",
        "/v1/admin/workers/{worker}/resume",
        "resumeWorker",
        "Have it take runs again.",
        _IN_A_MOMENT,
        parameters=(WORKER,),
        scope=Scope.OPERATE,
    )
    async def resume(self, request: Request) -> Response:
        """202: the worker takes runs again, in a moment."""
        who, worker = self.authenticator.authenticate(request.headers, Scope.OPERATE), WORKER.of(request)
        await self.resume_worker(worker, who=who)
        return json_response(await self.view(), 202)

    async def resume_worker(self, worker: str, *, who: str) -> None:
        """Raises ApiError 404 and Unavailable."""
        if not await self.operations.undrain(worker, who=who):
            raise api_errors.worker_not_found(worker)

    async def view(self) -> WorkersView:
        """Raises Unavailable."""
        workers, webs = await asyncio.gather(self.presence.workers(), self.presence.webs())
        return WorkersView(
            workers=sorted(map(_worker, workers), key=lambda worker: worker.name),
            webs=sorted(map(_web, webs), key=lambda web: web.name),
        )


def _worker(seen: SeenWorker) -> WorkerView:
    said = seen.announcement
    return WorkerView(
        name=said.worker,
        host=said.host,
        pid=said.pid,
        version=said.version,
        state=_state(seen),
        ordered=said.ordered,
        agents=sorted(said.agents),
        slots=said.slots,
        running=said.running,
        since_ms=said.since_ms,
        age_ms=seen.age_ms,
        memory_bytes=said.memory_bytes,
    )


def _state(seen: SeenWorker) -> WorkerState:
    said = seen.announcement
    if said.state != "gone" and seen.age_ms >= WORKER_TTL_MS:
        return "lost"
    if said.state == "draining" and not said.running:
        return "drained"
    return said.state


def _web(seen: SeenWeb) -> WebView:
    said = seen.announcement
    return WebView(
        name=said.web,
        host=said.host,
        pid=said.pid,
        version=said.version,
        state="serving" if seen.live else "lost",
        streams=said.streams,
        lag_ms=said.lag_ms,
        since_ms=said.since_ms,
        age_ms=seen.age_ms,
        memory_bytes=said.memory_bytes,
    )
