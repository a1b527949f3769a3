"""Parses a chat completion request at the edge. Nothing untyped gets past it.

A known field of the wrong type counts as absent, and an unknown field is ignored: clients send both and are used to
getting a completion.
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from api.http import api_errors
from api.http.json_value import JsonObject, truthy
from api.intake.model_options import ModelOptions, read_model_options
from api.intake.prompt import Prompt, read_prompt
from shared.run.agent_ids import requested_agent
from shared.run.sessions import IllegalSessionKey, Session, resolve_session
from shared.run.text import js_trim

AGENT_HEADERS = ("x-clawdbot-agent-id", "x-clawdbot-agent", "x-openclaw-agent-id", "x-agent-id")
SESSION_HEADERS = ("x-clawdbot-session-key", "x-openclaw-session-key", "x-session-key")
DEFAULT_MODEL = "clawdbot"  # echoed to clients that name none


@dataclass(frozen=True, slots=True)
class ChatRequest:
    model: str  # as the client wrote it
    stream: bool
    include_usage: bool
    prompt: Prompt
    ask: ModelOptions
    session: Session  # also names the agent
    idempotency_key: str | None
    retry_count: int  # 0 in a first try and for clients that do not count
    rejoins: bool  # the API would recognize another try of this request
    read_timeout: float | None  # seconds that the client waits for a response; None when it does not send them


def chat_request(body: JsonObject, headers: Mapping[str, str], served: Container[str]) -> ChatRequest:
    """`served` holds the ids of the agents that a model may name. Raises ApiError 400."""
    prompt = read_prompt(body.get("messages"))  # first: of several faults the client gets this one
    model = _string(body.get("model"))
    key = _first(headers, ["idempotency-key"])
    return ChatRequest(
        model=DEFAULT_MODEL if model is None else model,
        stream=truthy(body.get("stream")),
        include_usage=_include_usage(body.get("stream_options")),
        prompt=prompt,
        ask=read_model_options(body),
        session=_session(model, _string(body.get("user")), headers, served),
        idempotency_key=key,
        retry_count=_count(headers.get("x-stainless-retry-count", "")),
        rejoins=key is not None or "x-stainless-retry-count" in headers,
        read_timeout=_seconds(headers.get("x-stainless-read-timeout", "")),
    )


def _session(model: str | None, user: str | None, headers: Mapping[str, str], served: Container[str]) -> Session:
    requested = requested_agent(_first(headers, AGENT_HEADERS), model, served)
    try:
        return resolve_session(requested, header=_first(headers, SESSION_HEADERS), user=user)
    except IllegalSessionKey as illegal:
        raise api_errors.illegal_session_key(str(illegal)) from None


def _include_usage(options: JsonValue) -> bool:
    return isinstance(options, dict) and options.get("include_usage") is True


def _string(value: JsonValue) -> str | None:
    return value if isinstance(value, str) else None


def _first(headers: Mapping[str, str], names: Sequence[str]) -> str | None:
    """The value of the first of these headers that is not blank."""
    return next(filter(None, (js_trim(headers.get(name, "")) for name in names)), None)


def _count(text: str) -> int:
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else 0


def _seconds(text: str) -> float | None:
    return float(text) if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text) and float(text) > 0 else None
