"""Makes a run of a request."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256

from pydantic import JsonValue

from api.intake.model_options import ModelOptions
from api.intake.prompt import Prompt
from shared.observe.tracing import valid_traceparent
from shared.run.clock import now_ms
from shared.run.run import Run, new_run_id
from shared.run.sessions import Session


def new_run(
    *,
    owner: str,
    session: Session,
    prompt: Prompt,
    ask: ModelOptions,
    model: str,
    foreground: bool,
    headers: Mapping[str, str],
) -> Run:
    """A new run with an id of its own. `foreground`: the run is cancelled when its last reader has left for good.
    `headers` may name a trace in `traceparent`."""
    return Run(
        run_id=new_run_id(),
        agent_id=session.agent_id,
        session_key=session.key,
        owner=owner,
        model=model,
        message=prompt.message,
        extra_system_prompt=prompt.extra_system_prompt,
        history=prompt.history,
        current=prompt.current,
        tools=ask.tools,
        params=ask.params,
        keeps_transcript=session.stable,
        traceparent=valid_traceparent(headers.get("traceparent")),
        created_ms=now_ms(),
        foreground=foreground,
    )


def request_digest(session: Session, *fields: JsonValue) -> str:
    """A hash that is equal for two requests with the same agent, session and `fields`. A session that is fresh per
    request does not count."""
    place: list[JsonValue] = [session.agent_id, session.key if session.stable else None]
    return sha256(json.dumps([*place, *fields], sort_keys=True).encode()).hexdigest()
