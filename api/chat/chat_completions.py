"""`POST /v1/chat/completions`, and `GET /v1/chat/completions/{id}`, by which a client comes back to an answer."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass

import anyio
from starlette.requests import Request
from starlette.responses import Response

from api.chat.chat_request import ChatRequest, chat_request
from api.chat.chat_schema import ChatRequestBody, Completion
from api.chat.chat_view import ChatFold, ChatStream
from api.chat.streamed_answer import chat_frames
from api.chat.whole_answer import completion_response
from api.fleet.agent_directory import AgentDirectory
from api.http import api_errors
from api.http.auth import Authenticator
from api.http.body import BODY_SECONDS, parse_json, read_body
from api.http.disconnect import while_connected
from api.http.endpoint import EVENT_STREAM, Endpoint, ResponseOf
from api.http.json_value import JsonObject
from api.http.parameters import Flag, Number, Text
from api.intake.janitor import Janitor
from api.intake.new_run import new_run, request_digest
from api.intake.run_access import RunAccess
from api.intake.run_parameters import RUN_ID
from api.intake.submission import Submission
from api.relay.event_stream import KEEP_ALIVE_SECONDS, EventStreamResponse
from api.relay.relay import RunReader
from shared.ledger.ledger import RequestIdentity
from shared.ledger.presence import ServedAgent
from shared.run.events import StopReason
from shared.run.run import Run

ANSWER_MARGIN = 0.9  # of the client's own time limit; in the rest the error response reaches the client

STREAM = Flag("stream", "Send the answer while the agent writes it.")
STARTING_AFTER = Number("starting_after", "With `stream`: the `seq` of the last chunk that the client has received.")

# `chat_request` reads these.
_HEADERS = (
    Text("Idempotency-Key", "A later request with the same key and body gets the answer of the first.", place="header"),
    Text("x-clawdbot-agent-id", "The agent. It is used instead of `model`.", place="header"),
    Text(
        "x-clawdbot-session-key",
        "The session, which keeps its own history. It is used instead of `user`.",
        place="header",
    ),
)

_COMPLETION = ResponseOf(
    Completion,
    "The completion. With `stream`: `chat.completion.chunk` objects in `data:` lines; the last line has `[DONE]`.",
    EVENT_STREAM,
)


@dataclass(frozen=True)
class ChatCompletions:
    authenticator: Authenticator
    directory: AgentDirectory
    submission: Submission
    access: RunAccess
    janitor: Janitor
    max_body_bytes: int
    empty_answer: str
    body_seconds: float = BODY_SECONDS

    @Endpoint(
        "POST",
        "/v1/chat/completions",
        "createChatCompletion",
        "Send a conversation to an agent, and get its answer whole or while the agent writes it.",
        {200: _COMPLETION},
        parameters=_HEADERS,
        body=ChatRequestBody,
        errors=(404, 409, 429, 502, 504),
    )
    async def create(self, request: Request) -> Response:
        """Checks in this order: method and path (in the router), credential, body, user message, agent and session."""
        owner = self.authenticator.authenticate(request.headers)
        body = parse_json(await read_body(request, limit=self.max_body_bytes, seconds=self.body_seconds))
        parsed = chat_request(body, request.headers, await self.directory.known())
        bell, agent = await self.directory.find(parsed.session.agent_id)
        async with AsyncExitStack() as owned:
            following = self.submission.submitted(
                _run(parsed, owner, agent, request), bell=bell, once=_once(parsed, body)
            )
            run, reader = await owned.enter_async_context(following)
            if not parsed.stream:
                rejoins = parsed.rejoins
                return await self._whole(request, run, reader, patience=parsed.read_timeout, repeatable=rejoins)
            chat = ChatStream(run, include_usage=parsed.include_usage, empty_answer=self.empty_answer)
            frames = chat_frames(reader, chat, patience=_heartbeat(parsed.read_timeout))
            headers = api_errors.run_headers(run.run_id)
            return EventStreamResponse(frames, owned.pop_all(), headers, over=lambda: chat.done)

    @Endpoint(
        "GET",
        "/v1/chat/completions/{run_id}",
        "retrieveChatCompletion",
        "Get the answer of an earlier request, live or finished.",
        {200: _COMPLETION},
        parameters=(RUN_ID, STREAM, STARTING_AFTER),
        errors=(409, 429, 502, 504),
    )
    async def retrieve(self, request: Request) -> Response:
        """Responds with the answer of a run that was accepted before: whole, or as a stream from an event on."""
        owner = self.authenticator.authenticate(request.headers)
        run_id, stream, after = RUN_ID.of(request), STREAM.of(request), STARTING_AFTER.of(request)
        async with AsyncExitStack() as owned:
            run, reader = await owned.enter_async_context(self.access.attach_owned(run_id, owner))
            if not stream:
                return await self._whole(request, run, reader, patience=None, repeatable=True)
            await self.access.check_cursor(run_id, after, STARTING_AFTER.name)
            chat = ChatStream(run, include_usage=True, empty_answer=self.empty_answer, with_seq=True)
            frames = chat_frames(reader, chat, after=after)
            headers = api_errors.run_headers(run.run_id)
            return EventStreamResponse(frames, owned.pop_all(), headers, over=lambda: chat.done)

    async def _whole(
        self, request: Request, run: Run, reader: RunReader, *, patience: float | None, repeatable: bool
    ) -> Response:
        """Responds within the client's own time limit: a client whose time is up would post again."""
        fold = ChatFold(run, empty_answer=self.empty_answer)
        with anyio.move_on_after(patience and patience * ANSWER_MARGIN):
            return await while_connected(request, lambda: completion_response(run, reader, fold, repeatable=repeatable))
        if run.foreground and await reader.alone():  # otherwise the run ends with its last reader
            await self.janitor.cancel(run.run_id, StopReason.TIMEOUT)
        raise api_errors.client_out_of_time(run.run_id, patience or 0)


def _heartbeat(read_timeout: float | None) -> float:
    """Seconds between comments, few enough for a client that gives up after `read_timeout` without a byte."""
    return min(KEEP_ALIVE_SECONDS, read_timeout / 2) if read_timeout else KEEP_ALIVE_SECONDS


def _run(parsed: ChatRequest, owner: str, agent: ServedAgent, request: Request) -> Run:
    return new_run(
        owner=owner,
        session=parsed.session,
        prompt=parsed.prompt,
        ask=parsed.ask,
        model=parsed.model,
        foreground=agent.policy.on_disconnect == "cancel" and parsed.idempotency_key is None,
        headers=request.headers,
    )


def _once(parsed: ChatRequest, body: JsonObject) -> RequestIdentity:
    """The identity leaves out `stream`: a client may come back for the other form of the answer."""
    fields = {name: value for name, value in body.items() if name not in ("stream", "stream_options")}
    identity = request_digest(parsed.session, "chat", fields)
    return RequestIdentity(identity, key=parsed.idempotency_key, join=parsed.retry_count > 0, counted=parsed.rejoins)
