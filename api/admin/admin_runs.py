"""`/v1/admin/runs`: every run, of all credentials."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from api.admin import admin_run_views
from api.admin.admin_request import parse_body
from api.admin.rerun import RerunFilter, Reruns
from api.admin.timeline import timeline
from api.http import api_errors
from api.http.auth import Authenticator, Scope
from api.http.endpoint import Endpoint, ResponseOf
from api.http.json_response import json_response
from api.http.parameters import Number, Text, Time
from api.intake.janitor import Janitor
from api.intake.run_access import RunAccess
from api.intake.run_parameters import AFTER, AGENT, CURSOR, LAST_EVENT_ID, RUN_ID, SESSION, STATE
from api.runs.run_events import EVENTS, events_response
from shared.ledger.audit import audit_entry
from shared.ledger.operations import AuditAction, Deletion, Operations
from shared.ledger.operator_views import AdminRunDetail, AdminRunList, AdminRunView, Deleted, RerunResult
from shared.ledger.run_index import RunFilter, RunIndex
from shared.ledger.run_record import RunRow
from shared.log.event_log import EventLog
from shared.run.clock import now_ms
from shared.run.events import StopReason
from shared.run.states import ENDS, State

ID = Text("id", "How the run's id begins, with or without `chatcmpl_`.")
OWNER = Text("owner", "Only runs of this credential.")
WORKER = Text("worker", "Only runs that this worker took last.")
CODE = Text("code", "Only runs that failed for this reason, such as `worker_lost`.")
SINCE = Time("since_ms", "Accepted no earlier; ms since the epoch.")
TO = Time("to_ms", "Accepted no later.")
LIMIT = Number("limit", "Most runs of one page.", default=50, least=1, most=200)

LOOKED_AT = 10_000  # events of which a timeline is made


@dataclass(frozen=True)
class AdminRuns:
    authenticator: Authenticator
    access: RunAccess
    janitor: Janitor
    events: EventLog
    index: RunIndex
    operations: Operations
    repeats: Reruns

    @Endpoint(
        "GET",
        "/v1/admin/runs",
        "searchRuns",
        "Every run, newest first. A page may be short when very many were looked at for it.",
        {200: ResponseOf(AdminRunList, "A page of runs.")},
        parameters=(ID, STATE, AGENT, SESSION, OWNER, WORKER, CODE, SINCE, TO, LIMIT, CURSOR),
        scope=Scope.MONITOR,
    )
    async def search(self, request: Request) -> Response:
        """Newest first. A page may be short, and even empty, when very many runs were looked at for it."""
        self.authenticator.authenticate(request.headers, Scope.MONITOR)
        most = LIMIT.of(request)
        return json_response(await self.view(_wanted(request), cursor=CURSOR.of(request), most=most))

    async def view(self, wanted: RunFilter, *, cursor: str, most: int) -> AdminRunList:
        """Raises Unavailable."""
        page = await self.index.page(wanted, cursor=cursor, most=most)
        now = now_ms()
        return AdminRunList(data=await self._rows(page.run_ids, now), next_cursor=page.cursor or None, now_ms=now)

    async def at_work(self, most: int) -> list[AdminRunView]:
        """Runs that are at work, those that were accepted first. Raises Unavailable."""
        return await self._seen(await self.index.oldest(State.RUNNING, most), now_ms())

    async def _rows(self, run_ids: list[str], now: int) -> list[AdminRunView]:
        return await self._seen(await self.index.rows(run_ids), now)

    async def _seen(self, known: list[RunRow], now: int) -> list[AdminRunView]:
        spoke = await asyncio.gather(*(self.events.first_text_ms(row.run_id) for row in known))
        return [admin_run_views.row(row, first, now) for row, first in zip(known, spoke, strict=True)]

    @Endpoint(
        "POST",
        "/v1/admin/runs/retry",
        "retryRuns",
        "The same for all runs that fit, a hundred at most. Those that were run again before are left out.",
        {202: ResponseOf(RerunResult, "Which runs were run again, and which were not.")},
        body=RerunFilter,
        body_required=False,
        scope=Scope.OPERATE,
    )
    async def retry_all(self, request: Request) -> Response:
        """202 with the runs that were run again, a hundred at most."""
        who = self.authenticator.authenticate(request.headers, Scope.OPERATE)
        return json_response(await self.repeats.all(await parse_body(request, RerunFilter), who=who), 202)

    @Endpoint(
        "GET",
        "/v1/admin/runs/{run_id}",
        "inspectRun",
        "A run with what was asked and said, its steps, and what operators alone get to know of its failure.",
        {200: ResponseOf(AdminRunDetail, "The run.")},
        parameters=(RUN_ID,),
        scope=Scope.MONITOR,
    )
    async def show(self, request: Request) -> Response:
        self.authenticator.authenticate(request.headers, Scope.MONITOR)
        return json_response(await self.detail(RUN_ID.of(request)))

    async def detail(self, run_id: str, *, with_log: bool = True) -> AdminRunDetail:
        """Without its log: no steps, and of a run that goes on no text. Raises Failure 404 and Unavailable."""
        record = await self.access.any_record(run_id)
        rows = await self._rows([run_id], now_ms())
        if not rows:
            raise api_errors.run_not_found(run_id)
        head = await self.events.head(run_id)
        text = await self.events.text(run_id, head) if with_log and not head.end else ""
        last = min(head.seq, LOOKED_AT) if with_log else 0
        events = [event async for page in self.events.pages(run_id, last) for event in page]
        steps, complete = list(timeline(events)), not events or events[-1].seq >= head.seq
        position = await self.index.position(run_id)
        return admin_run_views.run_detail(rows[0], record, head, text, steps, complete=complete, position=position)

    @Endpoint(
        "GET",
        "/v1/admin/runs/{run_id}/events",
        "observeRun",
        "The events of any run. An operator who follows them is no reader for whom the run would go on.",
        EVENTS,
        parameters=(RUN_ID, AFTER, LAST_EVENT_ID),
        scope=Scope.MONITOR,
    )
    async def follow(self, request: Request) -> Response:
        self.authenticator.authenticate(request.headers, Scope.MONITOR)
        record = await self.access.any_record(RUN_ID.of(request))
        return await events_response(request, record.run.run_id, self.access, self.access.observe)

    @Endpoint(
        "POST",
        "/v1/admin/runs/{run_id}/cancel",
        "cancelAnyRun",
        "Stop a run and every process of it.",
        {
            200: ResponseOf(AdminRunDetail, "It had ended already."),
            202: ResponseOf(AdminRunDetail, "It ends in a moment."),
        },
        parameters=(RUN_ID,),
        scope=Scope.OPERATE,
    )
    async def cancel(self, request: Request) -> Response:
        """202 with the run, which ends in a moment; 200 when it has ended already."""
        who, run_id = self.authenticator.authenticate(request.headers, Scope.OPERATE), RUN_ID.of(request)
        ended = await self.cancel_run(run_id, who=who)
        return json_response(await self.detail(run_id), 200 if ended else 202)

    async def cancel_run(self, run_id: str, *, who: str) -> bool:
        """Whether it had ended already; else it ends in a moment. Raises ApiError 404 and Unavailable."""
        entry = audit_entry(AuditAction.CANCEL_RUN, run_id, who=who)
        state = await self.janitor.cancel(run_id, StopReason.USER, note=entry)
        if state is None:
            raise api_errors.run_not_found(run_id)
        return state in ENDS

    @Endpoint(
        "POST",
        "/v1/admin/runs/{run_id}/retry",
        "retryRun",
        "Make a new run that asks for the same, for the same owner and in its turn in the same session.",
        {202: ResponseOf(AdminRunDetail, "The new run.")},
        parameters=(RUN_ID,),
        errors=(409, 429),
        scope=Scope.OPERATE,
    )
    async def retry(self, request: Request) -> Response:
        """202 with the new run. The old one must have ended."""
        who, run_id = self.authenticator.authenticate(request.headers, Scope.OPERATE), RUN_ID.of(request)
        return json_response(await self.detail(await self.retry_run(run_id, who=who)), 202)

    async def retry_run(self, run_id: str, *, who: str) -> str:
        """The id of the new run. Raises ApiError 404 and 409, Refused and Unavailable."""
        if (await self.access.any_record(run_id)).state not in ENDS:
            raise api_errors.run_not_ended(run_id)
        return await self.repeats.one(run_id, who=who)

    @Endpoint(
        "DELETE",
        "/v1/admin/runs/{run_id}",
        "deleteRun",
        "Forget a run that has ended, and all that was said in it.",
        {200: ResponseOf(Deleted, "It is gone.")},
        parameters=(RUN_ID,),
        errors=(409,),
        scope=Scope.OPERATE,
    )
    async def delete(self, request: Request) -> Response:
        who, run_id = self.authenticator.authenticate(request.headers, Scope.OPERATE), RUN_ID.of(request)
        await self.delete_run(run_id, who=who)
        return json_response(Deleted(id=run_id))

    async def delete_run(self, run_id: str, *, who: str) -> None:
        """Raises ApiError 404 and 409, and Unavailable."""
        match await self.operations.delete(run_id, who=who):
            case Deletion.NO_RUN:
                raise api_errors.run_not_found(run_id)
            case Deletion.NOT_ENDED:
                raise api_errors.run_not_ended(run_id)
            case Deletion.DONE:
                return


def _wanted(request: Request) -> RunFilter:
    return RunFilter(
        state=STATE.of(request),
        agent=AGENT.of(request),
        session=SESSION.of(request),
        owner=OWNER.of(request),
        worker=WORKER.of(request),
        code=CODE.of(request),
        prefix=id_prefix(ID.of(request)),
        since_ms=SINCE.of(request),
        to_ms=TO.of(request),
    )


def id_prefix(text: str) -> str:
    """With or without what all ids begin with."""
    return text if not text or text.startswith("chatcmpl_") else f"chatcmpl_{text}"
