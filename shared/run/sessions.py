"""Session keys: which conversation a request belongs to. One run at a time per key."""

from __future__ import annotations

import re
from dataclasses import dataclass
from uuid import uuid4

from shared.run.agent_ids import RequestedAgent, normalise_agent_id
from shared.run.errors import RunrelayError
from shared.run.text import js_trim

MAX_KEY = 256  # characters

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_OF_AGENT = re.compile(r"agent:([^:]+):.+")
_FRESH = re.compile(r"agent:[^:]+:openai:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class IllegalSessionKey(RunrelayError):
    """The client's session key is not allowed; the text gives the client the reason."""


@dataclass(frozen=True, slots=True)
class Session:
    """A session and the agent that answers in it. `stable`: the client named the session and may come back to it."""

    key: str
    agent_id: str
    stable: bool


def resolve_session(requested: RequestedAgent, *, header: str | None, user: str | None) -> Session:
    """The session of a request: the header is its key. Without a header, a user has one session per agent. Without
    either, the session is fresh. Raises IllegalSessionKey."""
    if key := js_trim(header or ""):
        return Session(_legal(key), _agent_of(key, requested), stable=True)
    if name := js_trim(user or ""):
        return Session(_legal(f"agent:{requested.id}:openai-user:{name}"), requested.id, stable=True)
    return Session(f"agent:{requested.id}:openai:{uuid4()}", requested.id, stable=False)


def is_fresh(key: str) -> bool:
    """Whether the API made the key for one request that named no session. Only a client that reads the key in the
    answer can come back to such a session."""
    return _FRESH.fullmatch(key) is not None


def _legal(key: str) -> str:
    if len(key) > MAX_KEY:
        raise IllegalSessionKey(f"A session key has at most {MAX_KEY} characters.")
    if _CONTROL.search(key):
        raise IllegalSessionKey("A session key has no control characters.")
    return key


def _agent_of(key: str, requested: RequestedAgent) -> str:
    """The agent of a key: `agent:<id>:<rest>` names its agent, and any other key goes with the requested agent."""
    named = _OF_AGENT.fullmatch(key)
    if named is None:
        return requested.id
    agent_id = normalise_agent_id(named[1])
    if requested.explicit and agent_id != requested.id:
        raise IllegalSessionKey(
            f"The session key belongs to agent `{agent_id}`, but the request names agent `{requested.id}`."
        )
    return agent_id
