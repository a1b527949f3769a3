"""`/v1/runs`: runs for clients that know they are runs."""

from __future__ import annotations

from dataclasses import dataclass

import anyio
from starlette.requests import Request
from starlette.responses import Response

from api.fleet.agent_directory import AgentDirectory
from api.http import api_errors
from api.http.auth import Authenticator
from api.http.body import BODY_SECONDS, parse_json, read_body
from api.http.disconnect import while_connected
from api.http.json_response import json_response
from api.http.query import cursor, number, one_of
from api.intake.janitor import Janitor
from api.intake.new_run import new_run, request_digest
from api.intake.submission import Submission
from api.relay.event_stream import KEEP_ALIVE_SECONDS
from api.relay.relay import RunReader
from api.runs.run_events import events_response
from api.runs.run_request import run_request
from api.runs.run_view import RunPage, RunView, summary, whole
from shared.ledger.ledger import RequestIdentity
from shared.ledger.run_index import RunFilter, RunIndex
from shared.ledger.run_record import RunRecord
from shared.log.event_log import EventLog
from shared.run.errors import Draining, LogLost, Unavailable
from shared.run.events import StopReason, is_terminal
from shared.run.states import ENDS, State
from shared.run.text import js_trim

MOST_PER_PAGE = 100
LONGEST_WAIT = 300  # seconds


@dataclass(frozen=True)
class RunEndpoints:
    """Every run belongs to the credential that made it; to any other it is not there."""

    authenticator: Authenticator
    directory: AgentDirectory
    submission: Submission
    janitor: Janitor
    events: EventLog
    index: RunIndex
    max_body_bytes: int

    async def create(self, request: Request) -> Response:
        """202 with the run; an earlier request's, when `Idempotency-Key` says that this is the same one again."""
        owner = self.authenticator.authenticate(request.headers)
        body = parse_json(await read_body(request, limit=self.max_body_bytes, seconds=BODY_SECONDS))
        asked = run_request(body)
        session = asked.resolved()
        bell, agent = await self.directory.find(session.agent_id, param="agent")
        key = js_trim(request.headers.get("idempotency-key", "")) or None
        run = new_run(
            owner=owner,
            session=session,
            prompt=asked.prompt,
            ask=asked.ask,
            model=session.agent_id,
            foreground=not asked.background and agent.policy.on_disconnect == "cancel" and key is None,
            headers=request.headers,
        )
        accepted = await self.submission.accept(
            run, bell=bell, once=RequestIdentity(request_digest(session, "run", body), key=key)
        )
        try:
            return json_response(await self._view(await self.submission.record(accepted.run_id, owner)), 202)
        except Unavailable:  # by now a client that posts again must not be told that this is safe
            raise api_errors.run_unseen(accepted.run_id) from None

    async def list(self, request: Request) -> Response:
        """Newest first; `state`, `agent` and `session` filter, `limit` and `cursor` page."""
        owner = self.authenticator.authenticate(request.headers)
        query = request.query_params
        state = one_of(query.get("state"), "state", State)
        most = number(query.get("limit"), "limit", default=20, least=1, most=MOST_PER_PAGE)
        agent, session = query.get("agent", ""), query.get("session", "")
        wanted = RunFilter(owner=owner, state=state, agent=agent, session=session)
        page = await self.index.page(wanted, cursor=cursor(query.get("cursor", "")), most=most)
        rows = await self.index.rows(page.run_ids)
        return json_response(RunPage(data=[summary(row) for row in rows], next_cursor=page.cursor or None))

    async def show(self, request: Request) -> Response:
        return json_response(await self._view(await self._record(request)))

    async def follow(self, request: Request) -> Response:
        record = await self._record(request)
        return await events_response(request, record.run.run_id, self.submission, self.submission.attached)

    async def cancel(self, request: Request) -> Response:
        """202 with the run, which ends in a moment; 200 when it has ended already."""
        record = await self._record(request)
        state = await self.janitor.cancel(record.run.run_id, StopReason.USER)
        return json_response(await self._view(await self._record(request)), 200 if state in ENDS else 202)

    async def wait(self, request: Request) -> Response:
        """The run as soon as it has ended, or as it is after `timeout` seconds."""
        record = await self._record(request)
        seconds = number(request.query_params.get("timeout"), "timeout", default=30, most=LONGEST_WAIT)
        async with self.submission.attached(record.run.run_id) as (_, reader):
            return await while_connected(request, lambda: self._when_ended(request, reader, seconds))

    async def _when_ended(self, request: Request, reader: RunReader, seconds: float) -> Response:
        with anyio.move_on_after(seconds):
            await _ended(reader)
        return json_response(await self._view(await self._record(request)))

    async def _record(self, request: Request) -> RunRecord:
        owner = self.authenticator.authenticate(request.headers)
        return await self.submission.record(request.path_params["run_id"], owner)

    async def _view(self, record: RunRecord) -> RunView:
        run_id = record.run.run_id
        head = await self.events.head(run_id)
        text = head.end.text if head.end else await self.events.text(run_id, head)
        position = await self.index.position(run_id) if record.state is State.QUEUED else None
        return whole(record, head, text, position=position)


async def _ended(reader: RunReader) -> None:
    try:
        while not any(map(is_terminal, await reader.batch(KEEP_ALIVE_SECONDS))):
            continue
    except (LogLost, Draining):
        return  # the run's record tells how it is
