"""A run's events as steps that a person follows: what happened when, without what was said. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import assert_never

from shared.ledger.operator_views import StepKind, TimelineStep
from shared.run.events import (
    Cancelled,
    Completed,
    Delta,
    Event,
    Failed,
    Queued,
    Reasoning,
    Started,
    ToolCallDelta,
    ToolUse,
    Unknown,
    Usage,
)


class Timeline:
    """Where a timeline stands, not the timeline itself."""

    def __init__(self) -> None:
        self._speaking = 0  # the last attempt that has said something

    def add(self, events: Iterable[Event]) -> Iterator[TimelineStep]:
        """What these events, the next ones of the run, add to it."""
        for event in events:
            if isinstance(event.data, Delta):
                if event.attempt > self._speaking:
                    self._speaking = event.attempt
                    yield _step(event, "text")
            elif (told := _told(event)) is not None:
                yield _step(event, *told)


def timeline(events: Iterable[Event]) -> Iterator[TimelineStep]:
    return Timeline().add(events)


def _told(event: Event) -> tuple[StepKind, str] | None:
    match event.data:
        case Queued(phase=phase, reason=reason):
            return phase, reason or ""
        case Started(phase=phase, worker=worker):
            return phase, worker
        case ToolUse(phase="start", name=name):
            return "tool", name
        case ToolUse(phase="result", name=name):
            return "tool_result", name
        case ToolCallDelta(name=name) if name:
            return "call", name
        case Completed(phase=phase, finish_reason=reason):
            return phase, reason
        case Failed(phase=phase, code=code):
            return phase, code
        case Cancelled(phase=phase, reason=reason):
            return phase, reason
        case Delta() | ToolUse() | ToolCallDelta() | Reasoning() | Usage() | Unknown():
            return None
        case forgotten:
            assert_never(forgotten)


def _step(event: Event, what: StepKind, note: str = "") -> TimelineStep:
    return TimelineStep(seq=event.seq, at_ms=event.ts, attempt=event.attempt, what=what, note=note)
