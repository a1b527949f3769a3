"""Folds a run's events into steps for operators: what happened when, without the texts. Pure."""

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
    Omitted,
    Queued,
    Reasoning,
    Retraction,
    Started,
    ToolCallDelta,
    ToolUse,
    Unknown,
    Usage,
)


class Timeline:
    """The state between two calls of `add`. It does not keep the steps."""

    def __init__(self) -> None:
        self._text_attempt = 0  # the last attempt that has emitted text

    def add(self, events: Iterable[Event]) -> Iterator[TimelineStep]:
        """The steps that the next events of the run add."""
        for event in events:
            if isinstance(event.data, Delta):
                if event.attempt > self._text_attempt:
                    self._text_attempt = event.attempt
                    yield _step(event, "text")
            elif (shown := _shown(event)) is not None:
                yield _step(event, *shown)


def timeline(events: Iterable[Event]) -> Iterator[TimelineStep]:
    return Timeline().add(events)


def _shown(event: Event) -> tuple[StepKind, str] | None:
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
        case Delta() | Retraction() | ToolUse() | ToolCallDelta() | Reasoning() | Usage() | Omitted() | Unknown():
            return None
        case forgotten:
            assert_never(forgotten)


def _step(event: Event, what: StepKind, note: str = "") -> TimelineStep:
    return TimelineStep(seq=event.seq, at_ms=event.ts, attempt=event.attempt, what=what, note=note)
