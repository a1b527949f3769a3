"""`/v1/admin/workers`: the processes of the service, and the orders that drain and resume workers."""

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

_IN_A_MOMENT = {202: ResponseOf(WorkersView, "The worker does so in a moment.")}


@dataclass(frozen=True)
class AdminWorkers:
    authenticator: Authenticator
    presence: Presence
    operations: Operations

    @Endpoint(
        "GET",
        "/v1/admin/workers",
        "listWorkers",
        "List the processes of the service.",
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
        "Drain a worker: it finishes its runs and claims no more, until an operator resumes or restarts it.",
        _IN_A_MOMENT,
        parameters=(WORKER,),
        scope=Scope.OPERATE,
    )
    async def drain(self, request: Request) -> Response:
        """Responds 202. In a moment the worker claims no more runs, until an operator resumes or restarts it."""
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
        "Let a worker claim runs again.",
        _IN_A_MOMENT,
        parameters=(WORKER,),
        scope=Scope.OPERATE,
    )
    async def resume(self, request: Request) -> Response:
        """Responds 202. In a moment the worker claims runs again."""
        who, worker = self.authenticator.authenticate(request.headers, Scope.OPERATE), WORKER.of(request)
        await self.resume_worker(worker, who=who)
        return json_response(await self.view(), 202)

    async def resume_worker(self, worker: str, *, who: str) -> None:
        """Raises ApiError 404 and Unavailable."""
        if not await self.operations.undrain(worker, who=who):
            raise api_errors.worker_not_found(worker)

    async def view(self) -> WorkersView:
        """All processes, by name. Raises Unavailable."""
        workers, webs = await asyncio.gather(self.presence.workers(), self.presence.webs())
        return WorkersView(
            workers=sorted(map(_worker, workers), key=lambda worker: worker.name),
            webs=sorted(map(_web, webs), key=lambda web: web.name),
        )


def _worker(seen: SeenWorker) -> WorkerView:
    announcement = seen.announcement
    return WorkerView(
        name=announcement.worker,
        host=announcement.host,
        pid=announcement.pid,
        version=announcement.version,
        state=_state(seen),
        ordered=announcement.ordered,
        agents=sorted(announcement.agents),
        slots=announcement.slots,
        running=announcement.running,
        since_ms=announcement.since_ms,
        age_ms=seen.age_ms,
        memory_bytes=announcement.memory_bytes,
    )


def _state(seen: SeenWorker) -> WorkerState:
    announcement = seen.announcement
    if announcement.state != "gone" and seen.age_ms >= WORKER_TTL_MS:
        return "lost"
    if announcement.state == "draining" and not announcement.running:
        return "drained"
    return announcement.state


def _web(seen: SeenWeb) -> WebView:
    announcement = seen.announcement
    return WebView(
        name=announcement.web,
        host=announcement.host,
        pid=announcement.pid,
        version=announcement.version,
        state="serving" if seen.live else "lost",
        streams=announcement.streams,
        lag_ms=announcement.lag_ms,
        since_ms=announcement.since_ms,
        age_ms=seen.age_ms,
        memory_bytes=announcement.memory_bytes,
    )
