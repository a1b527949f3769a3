"""Events of a made-up run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from shared.log.event_log import Head
from shared.run.events import (
    Cancelled,
    Completed,
    Delta,
    Event,
    EventData,
    Failed,
    Omitted,
    Queued,
    Reasoning,
    Retraction,
    Started,
    StopReason,
    ToolCallDelta,
    ToolUse,
    Usage,
    make_event,
)

RUN_ID = "chatcmpl_made_up"

# One of each kind, and the names that its JSON has for it. A test compares them with the unions.
KINDS: list[tuple[EventData, str, str | None]] = [
    (Queued(), "lifecycle", "queued"),
    (Started(attempt=1, worker="w"), "lifecycle", "start"),
    (Completed(), "lifecycle", "end"),
    (Failed(code="c", message="m"), "lifecycle", "error"),
    (Cancelled(reason=StopReason.USER), "lifecycle", "cancelled"),
    (Delta(delta="a"), "assistant", None),
    (ToolUse(phase="start", name="t"), "tool", "start"),
    (ToolCallDelta(index=0), "call", None),
    (Reasoning(delta="a"), "reasoning", None),
    (Usage(), "usage", None),
    (Retraction(message=0), "retraction", None),
    (Omitted(events=1, chars=1), "omitted", None),
]


def said(*data: EventData, first: int = 1, attempt: int = 1, run_id: str = RUN_ID) -> list[Event]:
    """Events with these data, numbered from `first`."""
    return [
        make_event(one, run_id=run_id, session_key="s", attempt=attempt, seq=seq, ts=seq)
        for seq, one in enumerate(data, first)
    ]


def deltas(*texts: str, first: int = 1, attempt: int = 1, run_id: str = RUN_ID) -> list[Event]:
    return said(*(Delta(delta=text) for text in texts), first=first, attempt=attempt, run_id=run_id)


def head_after(events: Sequence[Event], before: Head | None = None) -> Head:
    """The head of the log after these events."""
    before = before or Head()
    texts = [one.data for one in events if isinstance(one.data, Delta)]
    chars = before.chars + sum(len(delta.delta) for delta in texts)
    message = texts[-1].message if texts else before.message
    calls = before.calls + len(
        {one.data.index for one in events if isinstance(one.data, ToolCallDelta) and one.data.id}
    )
    return replace(before, seq=events[-1].seq, chars=chars, message=message, calls=calls)
