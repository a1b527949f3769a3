"""A run's events as steps that a person follows: what happened when, without what was said. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from shared.ledger.operator_views import Step, What
from shared.run.events import Call, Cancelled, Completed, Delta, Event, Failed, Queued, Started, Tool


class Timeline:
    """Where a timeline stands, not the timeline itself."""

    def __init__(self) -> None:
        self._speaking = 0  # the last attempt that has said something

    def add(self, events: Iterable[Event]) -> Iterator[Step]:
        """What these events, the next ones of the run, add to it."""
        for event in events:
            if isinstance(event.data, Delta):
                if event.attempt > self._speaking:
                    self._speaking = event.attempt
                    yield _step(event, "text")
            elif (told := _told(event)) is not None:
                yield _step(event, *told)


def timeline(events: Iterable[Event]) -> Iterator[Step]:
    return Timeline().add(events)


def _told(event: Event) -> tuple[What, str] | None:
    match event.data:
        case Queued(reason=reason):
            return "queued", reason or ""
        case Started(worker=worker):
            return "start", worker
        case Tool(phase="start", name=name):
            return "tool", name
        case Tool(phase="result", name=name):
            return "tool_result", name
        case Call(name=name) if name:
            return "call", name
        case Completed(finish_reason=reason):
            return "end", reason
        case Failed(code=code):
            return "error", code
        case Cancelled(reason=reason):
            return "cancelled", reason
    return None


def _step(event: Event, what: What, note: str = "") -> Step:
    return Step(seq=event.seq, at_ms=event.ts, attempt=event.attempt, what=what, note=note)
