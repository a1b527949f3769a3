"""`/v1/admin/runs`: the runs of all credentials."""

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
from shared.ledger.operations import AuditAction, Deletion, Operations, audit_entry
from shared.ledger.operator_views import AdminRunDetail, AdminRunList, AdminRunView, Deleted, RerunResult
from shared.ledger.run_index import RunFilter, RunIndex
from shared.ledger.run_record import RunRow
from shared.log.event_log import EventLog
from shared.run.clock import now_ms
from shared.run.events import StopReason
from shared.run.states import ENDS, State

ID = Text("id", "Only runs whose id begins so, with or without `chatcmpl_`.")
OWNER = Text("owner", "Only runs of this credential.")
WORKER = Text("worker", "Only runs that this worker claimed last.")
CODE = Text("code", "Only runs that failed with this code, such as `worker_lost`.")
SINCE = Time("since_ms", "Only runs accepted at this time or later; ms since the epoch.")
TO = Time("to_ms", "Only runs accepted at this time or earlier; ms since the epoch.")
LIMIT = Number("limit", "Most runs of one page.", default=50, least=1, most=200)

LOOKED_AT = 10_000  # most events that a timeline is made from


@dataclass(frozen=True)
class AdminRuns:
    authenticator: Authenticator
    access: RunAccess
    janitor: Janitor
    events: EventLog
    index: RunIndex
    operations: Operations
    reruns: Reruns

    @Endpoint(
        "GET",
        "/v1/admin/runs",
        "searchRuns",
        "List the runs of all credentials, newest first. A page may be short when the search passed very many runs.",
        {200: ResponseOf(AdminRunList, "A page of runs.")},
        parameters=(ID, STATE, AGENT, SESSION, OWNER, WORKER, CODE, SINCE, TO, LIMIT, CURSOR),
        scope=Scope.MONITOR,
    )
    async def search(self, request: Request) -> Response:
        """Newest first. A page may be short, and even empty, when the search passed very many runs that do not fit."""
        self.authenticator.authenticate(request.headers, Scope.MONITOR)
        most = LIMIT.of(request)
        return json_response(await self.view(_wanted(request), cursor=CURSOR.of(request), most=most))

    async def view(self, wanted: RunFilter, *, cursor: str, most: int) -> AdminRunList:
        """A page of the runs that fit `wanted`, newest first. Raises Unavailable."""
        page = await self.index.page(wanted, cursor=cursor, most=most)
        now = now_ms()
        views = await self._views_by_id(page.run_ids, now)
        return AdminRunList(data=views, next_cursor=page.cursor or None, now_ms=now)

    async def at_work(self, most: int) -> list[AdminRunView]:
        """At most `most` running runs, those that were accepted first. Raises Unavailable."""
        return await self._views(await self.index.oldest(State.RUNNING, most), now_ms())

    async def _views_by_id(self, run_ids: list[str], now: int) -> list[AdminRunView]:
        return await self._views(await self.index.rows(run_ids), now)

    async def _views(self, rows: list[RunRow], now: int) -> list[AdminRunView]:
        first_texts = await asyncio.gather(*(self.events.first_text_ms(row.run_id) for row in rows))
        return [admin_run_views.row(row, first, now) for row, first in zip(rows, first_texts, strict=True)]

    @Endpoint(
        "POST",
        "/v1/admin/runs/retry",
        "retryRuns",
        "Run again the runs that fit, a hundred at most. Runs that an operator ran again before are left out.",
        {202: ResponseOf(RerunResult, "The runs that were run again, and those that were refused.")},
        body=RerunFilter,
        body_required=False,
        scope=Scope.OPERATE,
    )
    async def retry_all(self, request: Request) -> Response:
        """Responds 202 with the new runs, a hundred at most."""
        who = self.authenticator.authenticate(request.headers, Scope.OPERATE)
        return json_response(await self.reruns.all(await parse_body(request, RerunFilter), who=who), 202)

    @Endpoint(
        "GET",
        "/v1/admin/runs/{run_id}",
        "inspectRun",
        "Show a run: its prompt, its text, its steps, and the details of its failure that only operators get.",
        {200: ResponseOf(AdminRunDetail, "The run.")},
        parameters=(RUN_ID,),
        scope=Scope.MONITOR,
    )
    async def show(self, request: Request) -> Response:
        self.authenticator.authenticate(request.headers, Scope.MONITOR)
        return json_response(await self.detail(RUN_ID.of(request)))

    async def detail(self, run_id: str, *, with_log: bool = True) -> AdminRunDetail:
        """The run. Without its log the view has no steps and, while the run has not ended, no text.

        Raises ApiError 404 and Unavailable."""
        record = await self.access.any_record(run_id)
        views = await self._views_by_id([run_id], now_ms())
        if not views:
            raise api_errors.run_not_found(run_id)
        head = await self.events.head(run_id)
        text = await self.events.text(run_id, head) if with_log and not head.end else ""
        last = min(head.seq, LOOKED_AT) if with_log else 0
        events = [event async for page in self.events.pages(run_id, last) for event in page]
        steps, complete = list(timeline(events)), not events or events[-1].seq >= head.seq
        position = await self.index.position(run_id)
        return admin_run_views.run_detail(views[0], record, head, text, steps, complete=complete, position=position)

    @Endpoint(
        "GET",
        "/v1/admin/runs/{run_id}/events",
        "observeRun",
        "Follow the events of any run. An operator does not count as a reader that keeps the run going.",
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
        "Stop a run and all its processes.",
        {
            200: ResponseOf(AdminRunDetail, "The run had ended before."),
            202: ResponseOf(AdminRunDetail, "The run ends in a moment."),
        },
        parameters=(RUN_ID,),
        scope=Scope.OPERATE,
    )
    async def cancel(self, request: Request) -> Response:
        """Responds 202 with the run, which ends in a moment, or 200 when it had ended before."""
        who, run_id = self.authenticator.authenticate(request.headers, Scope.OPERATE), RUN_ID.of(request)
        ended = await self.cancel_run(run_id, who=who)
        return json_response(await self.detail(run_id), 200 if ended else 202)

    async def cancel_run(self, run_id: str, *, who: str) -> bool:
        """Requests that the run stop, and returns whether it had ended before. Raises ApiError 404 and Unavailable."""
        entry = audit_entry(AuditAction.CANCEL_RUN, run_id, who=who)
        state = await self.janitor.cancel(run_id, StopReason.USER, note=entry)
        if state is None:
            raise api_errors.run_not_found(run_id)
        return state in ENDS

    @Endpoint(
        "POST",
        "/v1/admin/runs/{run_id}/retry",
        "retryRun",
        "Make a new run with the same prompt, for the same owner. It takes its turn in the same session.",
        {202: ResponseOf(AdminRunDetail, "The new run.")},
        parameters=(RUN_ID,),
        errors=(409, 429),
        scope=Scope.OPERATE,
    )
    async def retry(self, request: Request) -> Response:
        """Responds 202 with the new run. The old one must have ended."""
        who, run_id = self.authenticator.authenticate(request.headers, Scope.OPERATE), RUN_ID.of(request)
        return json_response(await self.detail(await self.retry_run(run_id, who=who)), 202)

    async def retry_run(self, run_id: str, *, who: str) -> str:
        """The id of the new run. Raises ApiError 404 and 409, Refused and Unavailable."""
        if (await self.access.any_record(run_id)).state not in ENDS:
            raise api_errors.run_not_ended(run_id)
        return await self.reruns.one(run_id, who=who)

    @Endpoint(
        "DELETE",
        "/v1/admin/runs/{run_id}",
        "deleteRun",
        "Delete a run that has ended, and its log.",
        {200: ResponseOf(Deleted, "The run is deleted.")},
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
    """The beginning of a run's id; adds the prefix that all ids have when `text` lacks it."""
    return text if not text or text.startswith("chatcmpl_") else f"chatcmpl_{text}"
