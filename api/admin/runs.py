"""`/v1/admin/runs`: every run, whoever made it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from api.admin import run_views
from api.admin.again import Filter, Repeats
from api.admin.asked import asked
from api.admin.timeline import timeline
from api.http import api_errors
from api.http.auth import Gate, Scope
from api.http.json_response import answer
from api.http.query import cursor, number, one_of
from api.intake.janitor import Janitor
from api.intake.submission import Front
from api.runs.run_events import followed
from shared.ledger.audit import Act, note
from shared.ledger.operations import Deletion, Operations
from shared.ledger.operator_views import Deleted, Row, Rows, Whole
from shared.ledger.run_index import RunIndex, Wanted
from shared.ledger.run_record import RunRow
from shared.log.event_log import EventLog
from shared.run.clock import now_ms
from shared.run.events import Stop
from shared.run.states import ENDS, State

MOST_PER_PAGE = 200
LOOKED_AT = 10_000  # events of which a timeline is made


@dataclass(frozen=True)
class AdminRuns:
    gate: Gate
    front: Front
    janitor: Janitor
    events: EventLog
    index: RunIndex
    operations: Operations
    repeats: Repeats

    async def search(self, request: Request) -> Response:
        """Newest first. A page may be short, and even empty, when very many runs were looked at for it."""
        self.gate.authenticate(request.headers, Scope.MONITOR)
        query = request.query_params
        most = number(query.get("limit"), "limit", default=50, least=1, most=MOST_PER_PAGE)
        return answer(await self.view(_wanted(request), cursor=cursor(query.get("cursor", "")), most=most))

    async def view(self, wanted: Wanted, *, cursor: str, most: int) -> Rows:
        """Raises Unavailable."""
        page = await self.index.page(wanted, cursor=cursor, most=most)
        now = now_ms()
        return Rows(data=await self._rows(page.run_ids, now), next_cursor=page.cursor or None, now_ms=now)

    async def at_work(self, most: int) -> list[Row]:
        """Runs that are at work, those that were accepted first. Raises Unavailable."""
        return await self._seen(await self.index.oldest(State.RUNNING, most), now_ms())

    async def _rows(self, run_ids: list[str], now: int) -> list[Row]:
        return await self._seen(await self.index.rows(run_ids), now)

    async def _seen(self, known: list[RunRow], now: int) -> list[Row]:
        spoke = await asyncio.gather(*(self.events.first_text_ms(row.run_id) for row in known))
        return [run_views.row(row, first, now) for row, first in zip(known, spoke, strict=True)]

    async def show(self, request: Request) -> Response:
        self.gate.authenticate(request.headers, Scope.MONITOR)
        return answer(await self.whole(request.path_params["run_id"]))

    async def whole(self, run_id: str, *, with_log: bool = True) -> Whole:
        """Without its log: no steps, and of a run that goes on no text. Raises Failure 404 and Unavailable."""
        record = await self.front.any_record(run_id)
        rows = await self._rows([run_id], now_ms())
        if not rows:
            raise api_errors.run_not_found(run_id)
        head = await self.events.head(run_id)
        text = await self.events.text(run_id, head) if with_log and not head.end else ""
        last = min(head.seq, LOOKED_AT) if with_log else 0
        events = [event async for page in self.events.pages(run_id, last) for event in page]
        steps, complete = list(timeline(events)), not events or events[-1].seq >= head.seq
        position = await self.index.position(run_id)
        return run_views.whole(rows[0], record, head, text, steps, complete=complete, position=position)

    async def follow(self, request: Request) -> Response:
        self.gate.authenticate(request.headers, Scope.MONITOR)
        record = await self.front.any_record(request.path_params["run_id"])
        return await followed(request, record.run.run_id, self.front, self.front.observed)

    async def cancel(self, request: Request) -> Response:
        """202 with the run, which ends in a moment; 200 when it has ended already."""
        who, run_id = self.gate.authenticate(request.headers, Scope.OPERATE), request.path_params["run_id"]
        entry = note(Act.CANCEL_RUN, run_id, who=who)
        state = await self.janitor.cancel(run_id, Stop.USER, note=entry)
        return answer(await self.whole(run_id), 200 if state in ENDS else 202)

    async def retry(self, request: Request) -> Response:
        """202 with the new run. The old one must have ended."""
        who, run_id = self.gate.authenticate(request.headers, Scope.OPERATE), request.path_params["run_id"]
        if (await self.front.any_record(run_id)).state not in ENDS:
            raise api_errors.run_not_ended(run_id)
        return answer(await self.whole(await self.repeats.one(run_id, who=who)), 202)

    async def retry_all(self, request: Request) -> Response:
        """202 with the runs that were run again, a hundred at most."""
        who = self.gate.authenticate(request.headers, Scope.OPERATE)
        return answer(await self.repeats.all(await asked(request, Filter), who=who), 202)

    async def delete(self, request: Request) -> Response:
        who, run_id = self.gate.authenticate(request.headers, Scope.OPERATE), request.path_params["run_id"]
        match await self.operations.delete(run_id, who=who):
            case Deletion.NO_RUN:
                raise api_errors.run_not_found(run_id)
            case Deletion.NOT_ENDED:
                raise api_errors.run_not_ended(run_id)
            case Deletion.DONE:
                return answer(Deleted(id=run_id))


def _wanted(request: Request) -> Wanted:
    query = request.query_params
    return Wanted(
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
