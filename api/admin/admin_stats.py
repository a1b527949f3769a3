"""`GET /v1/admin/stats`: the figures of the whole service, now and over time."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass

from starlette.requests import Request
from starlette.responses import Response

from api.http.auth import Authenticator, Scope
from api.http.endpoint import Endpoint, ResponseOf
from api.http.json_response import json_response
from api.http.parameters import OneOf
from shared.ledger.operator_views import AgentLoad, RedisView, ServiceLoad, SpanView, StatsView
from shared.ledger.queue_depth import Depth, QueueDepth
from shared.ledger.run_index import RunIndex
from shared.ledger.tallies import Tallies, TallySpan, Window
from shared.redis.info import read_redis_info
from shared.redis.pipe import Pipe
from shared.run.clock import now_ms
from shared.run.states import State

WINDOW = OneOf(
    "window", "The last hour in minutes, or the last day in quarters of an hour.", Window, default=Window.HOUR
)


@dataclass(frozen=True)
class AdminStats:
    authenticator: Authenticator
    depth: QueueDepth
    index: RunIndex
    tallies: Tallies
    ledger: Pipe

    @Endpoint(
        "GET",
        "/v1/admin/stats",
        "showStats",
        "Show the figures of the whole service, now and over time.",
        {200: ResponseOf(StatsView, "The figures.")},
        parameters=(WINDOW,),
        scope=Scope.MONITOR,
    )
    async def show(self, request: Request) -> Response:
        self.authenticator.authenticate(request.headers, Scope.MONITOR)
        return json_response(await self.view(Window(WINDOW.of(request))))

    async def view(self, window: Window) -> StatsView:
        """The figures, with a series over `window`. Raises Unavailable."""
        fleet, ended, spans, redis = await asyncio.gather(
            self.depth.read(), self.index.ended(), self.tallies.spans(window), read_redis_info(self.ledger)
        )
        return StatsView(
            now_ms=now_ms(),
            now=ServiceLoad(
                **asdict(fleet.total),
                completed=ended[State.COMPLETED],
                failed=ended[State.FAILED],
                cancelled=ended[State.CANCELLED],
            ),
            agents=[_load(agent, depth) for agent, depth in sorted(fleet.agents.items())],
            redis=RedisView(**asdict(redis)),
            series=[_span(span) for span in spans],
        )


def _load(agent: str, depth: Depth) -> AgentLoad:
    return AgentLoad(agent=agent, **asdict(depth))


def _span(span: TallySpan) -> SpanView:
    return SpanView(
        at_ms=span.at_ms,
        seconds=span.seconds,
        accepted=span.accepted,
        completed=span.completed,
        failed=span.failed,
        cancelled=span.cancelled,
        running=span.running,
        waiting=span.waiting,
        wait_p50_ms=span.wait_p50_ms,
        wait_p95_ms=span.wait_p95_ms,
        deltas_per_second=round(span.deltas / span.seconds, 3),
    )
