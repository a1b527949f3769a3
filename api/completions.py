"""`POST /v1/chat/completions`."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from dataclasses import dataclass
from hashlib import sha256

from starlette.requests import Request
from starlette.responses import Response

from api import failures
from api.auth import Gate
from api.body import parse_json, read_body
from api.chat import ChatFold, ChatStream
from api.chat_request import ChatRequest, chat_request
from api.directory import Directory
from api.front import Front
from api.json_value import JsonObject
from api.relay import Reader
from api.streaming import KEEP_ALIVE_SECONDS, FollowingResponse, chat_frames, lost
from shared.conclusion import now_ms
from shared.errors import LogLost
from shared.ledger import Once
from shared.run import Run, new_run_id

BODY_SECONDS = 30.0  # a body that is not there by then is not coming


@dataclass(frozen=True)
class ChatCompletions:
    gate: Gate
    directory: Directory
    front: Front
    max_body_bytes: int
    empty_answer: str
    body_seconds: float = BODY_SECONDS

    async def create(self, request: Request) -> Response:
        """Checks in this order: method and path (the router), credential, body, user message, agent and session."""
        owner = self.gate.authenticate(request.headers)
        body = parse_json(await read_body(request, limit=self.max_body_bytes, seconds=self.body_seconds))
        asked = chat_request(body, request.headers, await self.directory.known())
        bell = await self.directory.bell(asked.session.agent_id)
        if bell is None:
            raise failures.agent_not_found(asked.session.agent_id)
        async with AsyncExitStack() as owned:
            following = self.front.submitted(_run(asked, owner), bell=bell, once=_once(asked, body))
            run, reader = await owned.enter_async_context(following)
            if asked.stream:
                chat = ChatStream(run, include_usage=asked.include_usage, empty_answer=self.empty_answer)
                headers = failures.run_headers(run.run_id)
                return FollowingResponse(chat_frames(reader, chat), owned.pop_all(), headers)
            return await self._whole(run, reader)

    async def _whole(self, run: Run, reader: Reader) -> Response:
        """The same events, folded."""
        fold = ChatFold(run, empty_answer=self.empty_answer)
        while True:
            try:
                events = await reader.batch(KEEP_ALIVE_SECONDS)
            except LogLost:
                raise lost(run.run_id) from None
            for event in events:
                if completion := fold.feed(event):
                    headers = {"Content-Type": failures.JSON, **failures.run_headers(run.run_id)}
                    return Response(completion, headers=headers)


def _run(asked: ChatRequest, owner: str) -> Run:
    return Run(
        run_id=new_run_id(),
        agent_id=asked.session.agent_id,
        session_key=asked.session.key,
        owner=owner,
        model=asked.model,
        message=asked.prompt.message,
        extra_system_prompt=asked.prompt.extra_system_prompt,
        history=asked.prompt.history,
        keeps_transcript=asked.session.stable,
        created_ms=now_ms(),
        on_disconnect="continue" if asked.idempotency_key else None,
    )


def _once(asked: ChatRequest, body: JsonObject) -> Once:
    """How the request is known again. `stream` does not count: a client may come back for the other form of the
    answer."""
    session = asked.session
    same = {**body, "stream": None, "stream_options": None}
    place = [session.agent_id, session.key if session.stable else None]
    digest = sha256(json.dumps([same, place], sort_keys=True).encode()).hexdigest()
    return Once(digest, key=asked.idempotency_key, join=asked.retry_count > 0)
