"""`POST /v1/chat/completions`, and coming back to one: `GET /v1/chat/completions/{id}`."""

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

ANSWER_MARGIN = 0.9  # of the client's patience: the rest is for our error to reach it

STREAM = Flag("stream", "Send the answer while it is made.")
STARTING_AFTER = Number("starting_after", "With `stream`: the `seq` of the last chunk that came.")

# `chat_request` reads these.
_HEADERS = (
    Text("Idempotency-Key", "A request with the same key and body gets the answer of the first.", place="header"),
    Text("x-clawdbot-agent-id", "The agent; counts more than `model`.", place="header"),
    Text(
        "x-clawdbot-session-key", "The session, which keeps its own history; counts more than `user`.", place="header"
    ),
)

_COMPLETION = ResponseOf(
    Completion,
    "The completion; with `stream`, `chat.completion.chunk` objects as `data:` lines, the last of which is `[DONE]`.",
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
        "Ask an agent, and get its answer whole or while it is made.",
        {200: _COMPLETION},
        parameters=_HEADERS,
        body=ChatRequestBody,
        errors=(404, 409, 429, 502, 504),
    )
    async def create(self, request: Request) -> Response:
        """Checks in this order: method and path (the router), credential, body, user message, agent and session."""
        owner = self.authenticator.authenticate(request.headers)
        body = parse_json(await read_body(request, limit=self.max_body_bytes, seconds=self.body_seconds))
        asked = chat_request(body, request.headers, await self.directory.known())
        bell, agent = await self.directory.find(asked.session.agent_id)
        async with AsyncExitStack() as owned:
            following = self.submission.submitted(
                _run(asked, owner, agent, request), bell=bell, once=_once(asked, body)
            )
            run, reader = await owned.enter_async_context(following)
            if not asked.stream:
                rejoins = asked.rejoins
                return await self._whole(request, run, reader, patience=asked.read_timeout, repeatable=rejoins)
            chat = ChatStream(run, include_usage=asked.include_usage, empty_answer=self.empty_answer)
            frames = chat_frames(reader, chat, patience=_heartbeat(asked.read_timeout))
            headers = api_errors.run_headers(run.run_id)
            return EventStreamResponse(frames, owned.pop_all(), headers, over=lambda: chat.done)

    @Endpoint(
        "GET",
        "/v1/chat/completions/{run_id}",
        "retrieveChatCompletion",
        "The answer of an earlier request, live or finished.",
        {200: _COMPLETION},
        parameters=(RUN_ID, STREAM, STARTING_AFTER),
        errors=(409, 429, 502, 504),
    )
    async def retrieve(self, request: Request) -> Response:
        """The answer of a run that was accepted before: whole, or as a stream from an event on."""
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
        """The completion, in time for the client: one whose own timer runs out would post again."""
        fold = ChatFold(run, empty_answer=self.empty_answer)
        with anyio.move_on_after(patience and patience * ANSWER_MARGIN):
            return await while_connected(request, lambda: completion_response(run, reader, fold, repeatable=repeatable))
        if run.foreground and await reader.alone():  # if not, it ends with its last reader
            await self.janitor.cancel(run.run_id, StopReason.TIMEOUT)
        raise api_errors.client_out_of_time(run.run_id, patience or 0)


def _heartbeat(read_timeout: float | None) -> float:
    """Often enough for a client that gives up after so many seconds without a byte."""
    return min(KEEP_ALIVE_SECONDS, read_timeout / 2) if read_timeout else KEEP_ALIVE_SECONDS


def _run(asked: ChatRequest, owner: str, agent: ServedAgent, request: Request) -> Run:
    return new_run(
        owner=owner,
        session=asked.session,
        prompt=asked.prompt,
        ask=asked.ask,
        model=asked.model,
        foreground=agent.policy.on_disconnect == "cancel" and asked.idempotency_key is None,
        headers=request.headers,
    )


def _once(asked: ChatRequest, body: JsonObject) -> RequestIdentity:
    """`stream` does not count: a client may come back for the other form of the answer."""
    said = {name: value for name, value in body.items() if name not in ("stream", "stream_options")}
    identity = request_digest(asked.session, "chat", said)
    return RequestIdentity(identity, key=asked.idempotency_key, join=asked.retry_count > 0, counted=asked.rejoins)
