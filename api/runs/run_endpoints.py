"""`/v1/runs`: the API for clients that create, read and stop runs as such."""

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
from api.http.endpoint import Endpoint, ResponseOf
from api.http.json_response import json_response
from api.http.parameters import Number, Text
from api.intake.janitor import Janitor
from api.intake.new_run import new_run, request_digest
from api.intake.run_access import RunAccess
from api.intake.run_parameters import AFTER, AGENT, CURSOR, LAST_EVENT_ID, RUN_ID, SESSION, STATE
from api.intake.submission import Submission
from api.relay.event_stream import KEEP_ALIVE_SECONDS
from api.relay.relay import RunReader
from api.runs.run_events import EVENTS, events_response
from api.runs.run_request import RunRequest, run_request
from api.runs.run_view import RunPage, RunView, summary, whole
from shared.ledger.ledger import RequestIdentity
from shared.ledger.run_index import RunFilter, RunIndex
from shared.ledger.run_record import RunRecord
from shared.log.event_log import EventLog
from shared.run.errors import Draining, LogLost, Unavailable
from shared.run.events import StopReason, is_terminal
from shared.run.states import ENDS, State
from shared.run.text import js_trim

IDEMPOTENCY_KEY = Text(
    "Idempotency-Key", "A later request with the same key and body gets the run of the first.", place="header"
)
LIMIT = Number("limit", "Most runs of one page.", default=20, least=1, most=100)
TIMEOUT = Number("timeout", "Most seconds to wait.", default=30, most=300)


@dataclass(frozen=True)
class RunEndpoints:
    """Every run belongs to the credential that made it. With any other credential a client gets 404."""

    authenticator: Authenticator
    directory: AgentDirectory
    submission: Submission
    access: RunAccess
    janitor: Janitor
    events: EventLog
    index: RunIndex
    max_body_bytes: int

    @Endpoint(
        "POST",
        "/v1/runs",
        "createRun",
        "Start a run, without waiting for it.",
        {202: ResponseOf(RunView, "The run.")},
        parameters=(IDEMPOTENCY_KEY,),
        body=RunRequest,
        errors=(404, 409, 429),
    )
    async def create(self, request: Request) -> Response:
        """Responds 202 with the run. With the `Idempotency-Key` of an earlier request it is the run of that request."""
        owner = self.authenticator.authenticate(request.headers)
        body = parse_json(await read_body(request, limit=self.max_body_bytes, seconds=BODY_SECONDS))
        parsed = run_request(body)
        session = parsed.resolved()
        bell, agent = await self.directory.find(session.agent_id, param="agent")
        key = js_trim(IDEMPOTENCY_KEY.of(request)) or None
        run = new_run(
            owner=owner,
            session=session,
            prompt=parsed.prompt,
            ask=parsed.ask,
            model=session.agent_id,
            foreground=not parsed.background and agent.policy.on_disconnect == "cancel" and key is None,
            headers=request.headers,
        )
        accepted = await self.submission.accept(
            run, bell=bell, once=RequestIdentity(request_digest(session, "run", body), key=key)
        )
        try:
            return json_response(await self._view(await self.access.record_of_owner(accepted.run_id, owner)), 202)
        except Unavailable as why:  # the run is accepted: a plain 503 would invite the client to post again
            raise api_errors.run_unseen(accepted.run_id, why) from None

    @Endpoint(
        "GET",
        "/v1/runs",
        "listRuns",
        "List the runs of this credential, newest first.",
        {200: ResponseOf(RunPage, "A page of runs.")},
        parameters=(STATE, AGENT, SESSION, LIMIT, CURSOR),
    )
    async def list(self, request: Request) -> Response:
        """Newest first; `state`, `agent` and `session` filter, `limit` and `cursor` page."""
        owner = self.authenticator.authenticate(request.headers)
        state, most = STATE.of(request), LIMIT.of(request)
        wanted = RunFilter(owner=owner, state=state, agent=AGENT.of(request), session=SESSION.of(request))
        page = await self.index.page(wanted, cursor=CURSOR.of(request), most=most)
        rows = await self.index.rows(page.run_ids)
        return json_response(RunPage(data=[summary(row) for row in rows], next_cursor=page.cursor or None))

    @Endpoint(
        "GET",
        "/v1/runs/{run_id}",
        "showRun",
        "Show a run: its state, its times, and its text so far.",
        {200: ResponseOf(RunView, "The run.")},
        parameters=(RUN_ID,),
    )
    async def show(self, request: Request) -> Response:
        return json_response(await self._view(await self._record(request)))

    @Endpoint(
        "GET",
        "/v1/runs/{run_id}/events",
        "followRun",
        "Follow the events of a run, live or finished, from any place on.",
        EVENTS,
        parameters=(RUN_ID, AFTER, LAST_EVENT_ID),
    )
    async def follow(self, request: Request) -> Response:
        record = await self._record(request)
        return await events_response(request, record.run.run_id, self.access, self.access.attach)

    @Endpoint(
        "POST",
        "/v1/runs/{run_id}/cancel",
        "cancelRun",
        "Stop a run and all its processes.",
        {200: ResponseOf(RunView, "The run had ended before."), 202: ResponseOf(RunView, "The run ends in a moment.")},
        parameters=(RUN_ID,),
    )
    async def cancel(self, request: Request) -> Response:
        """Responds 202 with the run, which ends in a moment, or 200 when it had ended before."""
        record = await self._record(request)
        state = await self.janitor.cancel(record.run.run_id, StopReason.USER)
        return json_response(await self._view(await self._record(request)), 200 if state in ENDS else 202)

    @Endpoint(
        "GET",
        "/v1/runs/{run_id}/wait",
        "waitForRun",
        "Wait for a run: it comes when it has ended, or as it is when the time is up.",
        {200: ResponseOf(RunView, "The run.")},
        parameters=(RUN_ID, TIMEOUT),
    )
    async def wait(self, request: Request) -> Response:
        """Responds with the run when it has ended, or as it is after `timeout` seconds."""
        record = await self._record(request)
        seconds = TIMEOUT.of(request)
        async with self.access.attach(record.run.run_id) as (_, reader):
            return await while_connected(request, lambda: self._when_ended(request, reader, seconds))

    async def _when_ended(self, request: Request, reader: RunReader, seconds: float) -> Response:
        with anyio.move_on_after(seconds):
            await _ended(reader)
        return json_response(await self._view(await self._record(request)))

    async def _record(self, request: Request) -> RunRecord:
        owner = self.authenticator.authenticate(request.headers)
        return await self.access.record_of_owner(RUN_ID.of(request), owner)

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
        return  # the caller reads the state from the run's record
