"""A run as clients of `/v1/runs` see it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.ledger.run_record import RunRecord, RunRow
from shared.log.event_log import Head
from shared.run.conversation import Resumed
from shared.run.events import StopReason, Tokens
from shared.run.run import ToolCall
from shared.run.states import ENDS, State


class RunFailure(BaseModel):
    code: str
    message: str


class RunView(BaseModel):
    """Times are ms since the epoch; null when it has not come to that."""

    model_config = ConfigDict(frozen=True)

    id: str
    object: Literal["run"] = "run"
    state: State
    agent: str
    session: str
    background: bool = Field(description="Whether the run goes on when nobody reads it.")
    attempt: int = Field(description="Number of the attempt that last started the agent; 0 when none has.")
    created_ms: int
    queued_ms: int
    started_ms: int | None
    ended_ms: int | None = Field(description="Known a moment after the run has ended.")
    queue_position: int | None = Field(
        None,
        description="How many runs go before this one, while it waits: runs of its session, the one that runs included,"
        " until it is its turn there; from then on runs that a worker may take. Not in lists.",
    )
    cancel_requested: StopReason | None = None
    text: str | None = Field(None, description="What the agent has said so far. Not in lists.")
    last_event: int | None = Field(None, description="Number of the last event. Not in lists.")
    tool_calls: tuple[ToolCall, ...] | None = Field(
        None, description="What the client is to call, once the run has completed. Not in lists."
    )
    finish_reason: str | None = Field(None, description="Why the model stopped. Not in lists.")
    usage: Tokens | None = None
    error: RunFailure | None = None
    resumed: Resumed | None = Field(
        None,
        description="Of a run that has ended and whose session was named; not in lists. `yes`: the agent went on in "
        "a conversation of its own. `no`: it had none. `fell_back`: it did not go on in the one that it had, and was "
        "given the session's transcript.",
    )


class RunPage(BaseModel):
    object: Literal["list"] = "list"
    data: list[RunView]
    next_cursor: str | None = Field(description="`cursor` of the next page; null on the last one.")


def summary(row: RunRow, *, position: int | None = None) -> RunView:
    """What the ledger alone knows."""
    return RunView(
        id=row.run_id,
        state=row.state,
        agent=row.agent,
        session=row.session,
        background=not row.foreground,
        attempt=row.begun,
        created_ms=row.created_ms,
        queued_ms=row.queued_ms,
        started_ms=row.started_ms or None,
        ended_ms=row.ended_ms or None,
        queue_position=position,
        cancel_requested=row.cancel,
        error=RunFailure(code=row.code, message="") if row.code else None,
    )


def whole(record: RunRecord, head: Head, text: str, *, position: int | None = None) -> RunView:
    """With what was said. The log closes first: a run whose end stands there has ended."""
    view = summary(record, position=position)
    said = {"text": text, "last_event": head.seq}
    if head.end is None:
        return view.model_copy(update=said)
    end = head.end
    error = RunFailure(code=end.code, message=end.message) if end.code else view.error
    state = record.state if record.state in ENDS else end.state
    said = {**said, "text": end.text, "usage": end.usage, "error": error, "state": state, "queue_position": None}
    said |= {"tool_calls": end.tool_calls or None, "finish_reason": end.finish_reason or None, "resumed": end.resumed}
    return view.model_copy(update=said)
