"""Agent ids: which texts are agent ids, and which agent a request means."""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass

from shared.run.text import js_trim

DEFAULT_AGENT = "main"

_LENGTH = 64
_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}", re.ASCII | re.IGNORECASE)
_FOREIGN = re.compile(r"[^a-z0-9_-]+")
_IN_MODEL = re.compile(rf"(?:(?:clawdbot|openclaw)[:/]|agent:)({_ID.pattern})", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class RequestedAgent:
    """The agent a request means; `explicit` when the client named it."""

    id: str
    explicit: bool


def normalise_agent_id(raw: str) -> str:
    """The legal id that `raw` means: at most 64 of a-z, 0-9, `_` and `-`, a letter or digit first."""
    raw = js_trim(raw)
    if _ID.fullmatch(raw):
        return raw.lower()
    # A leading `_` is stripped with the dashes: an id that begins with it would not be legal.
    dashed = _FOREIGN.sub("-", raw.lower()).lstrip("-_").rstrip("-")
    return dashed[:_LENGTH].rstrip("-") or DEFAULT_AGENT


def requested_agent(header: str | None, model: str | None, served: Container[str]) -> RequestedAgent:
    """The agent of a request. A header counts more than the model. A model that names no agent, such as `gpt-4o`, means
    the default agent."""
    if header is not None and js_trim(header):
        return RequestedAgent(normalise_agent_id(header), explicit=True)
    named = _named_by(model, served) if model is not None else None
    return RequestedAgent(named or DEFAULT_AGENT, explicit=named is not None)


def _named_by(model: str, served: Container[str]) -> str | None:
    if whole := _IN_MODEL.fullmatch(js_trim(model)):
        return whole[1].lower()
    # `served` may hold the pattern `*`, which is no id.
    return model if model in served and normalise_agent_id(model) == model else None
