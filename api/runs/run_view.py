"""The view of a run that clients of `/v1/runs` get."""

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
    """A run. Times are ms since the epoch, and null before they are known."""

    model_config = ConfigDict(frozen=True)

    id: str
    object: Literal["run"] = "run"
    state: State
    agent: str
    session: str
    background: bool = Field(description="Whether the run goes on without readers.")
    attempt: int = Field(description="Number of the last attempt that started the agent; 0 before the first.")
    created_ms: int
    queued_ms: int
    started_ms: int | None
    ended_ms: int | None = Field(description="Known a moment after the run has ended.")
    queue_position: int | None = Field(
        None,
        description="Number of runs before this one, while it waits. Until its turn in its session they are the runs of"
        " the session, with the running one; from then on they are the runs that a worker may claim. Not in lists.",
    )
    cancel_requested: StopReason | None = None
    text: str | None = Field(None, description="The agent's text so far. Not in lists.")
    last_event: int | None = Field(None, description="Number of the last event. Not in lists.")
    tool_calls: tuple[ToolCall, ...] | None = Field(
        None, description="The calls that the client is to make, once the run has completed. Not in lists."
    )
    finish_reason: str | None = Field(None, description="Why the model stopped. Not in lists.")
    usage: Tokens | None = None
    error: RunFailure | None = None
    resumed: Resumed | None = Field(
        None,
        description="How the agent continued the session, for a run that has ended in a named session. `yes`: in a "
        "conversation of its own. `no`: it had no conversation of its own. `fell_back`: it could not go on in its own, "
        "and got the session's transcript. Not in lists.",
    )


class RunPage(BaseModel):
    object: Literal["list"] = "list"
    data: list[RunView]
    next_cursor: str | None = Field(description="`cursor` of the next page; null on the last one.")


def summary(row: RunRow, *, position: int | None = None) -> RunView:
    """The view of a run in a list, from the ledger alone."""
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
    """The view with the text and the end from the log. The log closes before the ledger settles: a run has ended as
    soon as its log holds its end."""
    view = summary(record, position=position)
    from_log = {"text": text, "last_event": head.seq}
    if head.end is None:
        return view.model_copy(update=from_log)
    end = head.end
    error = RunFailure(code=end.code, message=end.message) if end.code else view.error
    state = record.state if record.state in ENDS else end.state
    from_log |= {"text": end.text, "usage": end.usage, "error": error, "state": state, "queue_position": None}
    from_log |= {"tool_calls": end.tool_calls or None, "finish_reason": end.finish_reason or None}
    return view.model_copy(update={**from_log, "resumed": end.resumed})
