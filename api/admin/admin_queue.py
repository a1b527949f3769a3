"""`/v1/admin/queue`: the waiting runs of each agent, and the pauses."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from api.admin.admin_request import parse_body
from api.http import api_errors
from api.http.auth import Authenticator, Scope
from api.http.endpoint import Endpoint, ResponseOf
from api.http.json_response import json_response
from shared.ledger.operations import Operations, Pause
from shared.ledger.operator_views import PauseView, QueuedAgent, QueueView
from shared.ledger.queue_depth import Depth, QueueDepth
from shared.redis.keys import ALL
from shared.run.agent_ids import normalise_agent_id
from shared.run.errors import TooManyPauses


class WhichAgent(BaseModel):
    """The agent to pause or to resume."""

    model_config = ConfigDict(extra="forbid", strict=True)

    agent: str | None = Field(None, description="Id of an agent. Without it, the whole queue.")


_QUEUE_AFTERWARDS = {200: ResponseOf(QueueView, "The queue afterwards.")}


@dataclass(frozen=True)
class AdminQueue:
    authenticator: Authenticator
    depth: QueueDepth
    operations: Operations

    @Endpoint(
        "GET",
        "/v1/admin/queue",
        "showQueue",
        "Show the waiting runs of each agent, and the pauses.",
        {200: ResponseOf(QueueView, "The queue.")},
        scope=Scope.MONITOR,
    )
    async def show(self, request: Request) -> Response:
        self.authenticator.authenticate(request.headers, Scope.MONITOR)
        return json_response(await self.view())

    @Endpoint(
        "POST",
        "/v1/admin/queue/pause",
        "pauseQueue",
        "Stop workers from starting runs of an agent, or any. Running runs go on. Waiting runs do not time out.",
        _QUEUE_AFTERWARDS,
        body=WhichAgent,
        body_required=False,
        errors=(409,),
        scope=Scope.OPERATE,
    )
    async def pause(self, request: Request) -> Response:
        """Running runs go on. Waiting runs wait until an operator resumes the queue, however long that takes."""
        who = self.authenticator.authenticate(request.headers, Scope.OPERATE)
        await self.pause_agent(await _which(request), who=who)
        return json_response(await self.view())

    async def pause_agent(self, agent: str | None, *, who: str) -> None:
        """Pauses an agent, or the whole queue when `agent` is None. Raises ApiError 400 and 409, and Unavailable."""
        try:
            await self.operations.pause(which(agent), who=who)
        except TooManyPauses:
            raise api_errors.too_many_pauses() from None

    @Endpoint(
        "POST",
        "/v1/admin/queue/resume",
        "resumeQueue",
        "Let workers start runs again, in their old order.",
        _QUEUE_AFTERWARDS,
        body=WhichAgent,
        body_required=False,
        scope=Scope.OPERATE,
    )
    async def resume(self, request: Request) -> Response:
        who = self.authenticator.authenticate(request.headers, Scope.OPERATE)
        await self.resume_agent(await _which(request), who=who)
        return json_response(await self.view())

    async def resume_agent(self, agent: str | None, *, who: str) -> None:
        """Resumes an agent, or the whole queue when `agent` is None. Raises ApiError 400 and Unavailable."""
        await self.operations.resume(which(agent), who=who)

    async def view(self) -> QueueView:
        """The queue of every agent that has runs or a pause. Raises Unavailable."""
        fleet, paused = await asyncio.gather(self.depth.read(), self.operations.paused())
        names = sorted(fleet.agents.keys() | paused.keys() - {ALL})
        return QueueView(
            **asdict(fleet.total),
            paused=_pause(paused.get(ALL)),
            agents=[
                QueuedAgent(agent=name, paused=_pause(paused.get(name)), **asdict(fleet.agents.get(name, Depth())))
                for name in names
            ],
        )


def _pause(pause: Pause | None) -> PauseView | None:
    return PauseView(since_ms=pause.since_ms, who=pause.who) if pause else None


async def _which(request: Request) -> str | None:
    return (await parse_body(request, WhichAgent)).agent


def which(agent: str | None) -> str:
    """The agent, or ALL for None. Raises ApiError 400 for an illegal id: it would pause nothing, and the operator
    would not notice."""
    if agent is None:
        return ALL
    if normalise_agent_id(agent) != agent:
        raise api_errors.invalid_value("agent", "must be the id of an agent: a-z, 0-9, '_' and '-', at most 64")
    return agent
