"""`GET /v1/admin/sessions`: sessions that have runs, the run that is running in each, and those that wait."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from api.http.auth import Authenticator, Scope
from api.http.endpoint import Endpoint, ResponseOf
from api.http.json_response import json_response
from api.http.parameters import Number
from shared.ledger.lanes import Lane, Lanes
from shared.ledger.operator_views import SessionsView, SessionView
from shared.ledger.run_index import RunIndex
from shared.ledger.run_record import RunRow
from shared.run.states import State

LIMIT = Number("limit", "Most sessions.", default=50, least=1, most=200)


@dataclass(frozen=True)
class AdminSessions:
    authenticator: Authenticator
    lanes: Lanes
    index: RunIndex

    @Endpoint(
        "GET",
        "/v1/admin/sessions",
        "listSessions",
        "List the sessions that have runs, the longest lanes first.",
        {200: ResponseOf(SessionsView, "The sessions.")},
        parameters=(LIMIT,),
        scope=Scope.MONITOR,
    )
    async def show(self, request: Request) -> Response:
        self.authenticator.authenticate(request.headers, Scope.MONITOR)
        return json_response(await self.view(LIMIT.of(request)))

    async def view(self, most: int) -> SessionsView:
        """At most `most` sessions, the longest lanes first. Raises Unavailable."""
        lanes = await self.lanes.longest(most)
        firsts = await self.index.rows(lane.run_ids[0] for lane in lanes if lane.run_ids)
        running = {row.session: row for row in firsts if row.state is State.RUNNING}
        return SessionsView(data=[_session(lane, running.get(lane.session)) for lane in lanes])


def _session(lane: Lane, holder: RunRow | None) -> SessionView:
    return SessionView(
        session=lane.session,
        agent=lane.agent,
        owner=lane.owner,
        runs=lane.length,
        holder=holder.run_id if holder else None,
        worker=holder.worker if holder else None,
        since_ms=(holder.started_ms or None) if holder else None,
        waiting=[run_id for run_id in lane.run_ids if holder is None or run_id != holder.run_id],
    )
