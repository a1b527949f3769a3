"""`/v1/admin/runs`: every run, whoever made it."""

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
from api.http.json_response import json_response
from api.http.query import cursor, number, one_of
from api.intake.janitor import Janitor
from api.intake.submission import Submission
from api.runs.run_events import events_response
from shared.ledger.audit import AuditAction, audit_entry
from shared.ledger.operations import Deletion, Operations
from shared.ledger.operator_views import AdminRunDetail, AdminRunList, AdminRunView, Deleted
from shared.ledger.run_index import RunFilter, RunIndex
from shared.ledger.run_record import RunRow
from shared.log.event_log import EventLog
from shared.run.clock import now_ms
from shared.run.events import StopReason
from shared.run.states import ENDS, State

MOST_PER_PAGE = 200
LOOKED_AT = 10_000  # events of which a timeline is made


@dataclass(frozen=True)
class AdminRuns:
    authenticator: Authenticator
    submission: Submission
    janitor: Janitor
    events: EventLog
    index: RunIndex
    operations: Operations
    repeats: Reruns

    async def search(self, request: Request) -> Response:
        """Newest first. A page may be short, and even empty, when very many runs were looked at for it."""
        self.authenticator.authenticate(request.headers, Scope.MONITOR)
        query = request.query_params
        most = number(query.get("limit"), "limit", default=50, least=1, most=MOST_PER_PAGE)
        return json_response(await self.view(_wanted(request), cursor=cursor(query.get("cursor", "")), most=most))

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

    async def show(self, request: Request) -> Response:
        self.authenticator.authenticate(request.headers, Scope.MONITOR)
        return json_response(await self.detail(request.path_params["run_id"]))

    async def detail(self, run_id: str, *, with_log: bool = True) -> AdminRunDetail:
        """Without its log: no steps, and of a run that goes on no text. Raises Failure 404 and Unavailable."""
        record = await self.submission.any_record(run_id)
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

    async def follow(self, request: Request) -> Response:
        self.authenticator.authenticate(request.headers, Scope.MONITOR)
        record = await self.submission.any_record(request.path_params["run_id"])
        return await events_response(request, record.run.run_id, self.submission, self.submission.observed)

    async def cancel(self, request: Request) -> Response:
        """202 with the run, which ends in a moment; 200 when it has ended already."""
        who, run_id = self.authenticator.authenticate(request.headers, Scope.OPERATE), request.path_params["run_id"]
        entry = audit_entry(AuditAction.CANCEL_RUN, run_id, who=who)
        state = await self.janitor.cancel(run_id, StopReason.USER, note=entry)
        return json_response(await self.detail(run_id), 200 if state in ENDS else 202)

    async def retry(self, request: Request) -> Response:
        """202 with the new run. The old one must have ended."""
        who, run_id = self.authenticator.authenticate(request.headers, Scope.OPERATE), request.path_params["run_id"]
        if (await self.submission.any_record(run_id)).state not in ENDS:
            raise api_errors.run_not_ended(run_id)
        return json_response(await self.detail(await self.repeats.one(run_id, who=who)), 202)

    async def retry_all(self, request: Request) -> Response:
        """202 with the runs that were run again, a hundred at most."""
        who = self.authenticator.authenticate(request.headers, Scope.OPERATE)
        return json_response(await self.repeats.all(await parse_body(request, RerunFilter), who=who), 202)

    async def delete(self, request: Request) -> Response:
        who, run_id = self.authenticator.authenticate(request.headers, Scope.OPERATE), request.path_params["run_id"]
        match await self.operations.delete(run_id, who=who):
            case Deletion.NO_RUN:
                raise api_errors.run_not_found(run_id)
            case Deletion.NOT_ENDED:
                raise api_errors.run_not_ended(run_id)
            case Deletion.DONE:
                return json_response(Deleted(id=run_id))


def _wanted(request: Request) -> RunFilter:
    query = request.query_params
    return RunFilter(
        state=one_of(query.get("state"), "state", State),
        agent=query.get("agent", ""),
        session=query.get("session", ""),
        owner=query.get("owner", ""),
        worker=query.get("worker", ""),
        code=query.get("code", ""),
        prefix=id_prefix(query.get("id", "")),
        since_ms=_time(request, "since_ms"),
        to_ms=_time(request, "to_ms"),
    )


def _time(request: Request, name: str) -> int | None:
    return number(request.query_params[name], name) if name in request.query_params else None


def id_prefix(text: str) -> str:
    """With or without what all ids begin with."""
    return text if not text or text.startswith("chatcmpl_") else f"chatcmpl_{text}"
