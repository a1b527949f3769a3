from __future__ import annotations

import pytest

from api.admin.timeline import Timeline, timeline
from shared.run.events import (
    Cancelled,
    Completed,
    Delta,
    EventData,
    Failed,
    LifecycleEvent,
    Queued,
    Reasoning,
    Started,
    StopReason,
    ToolCallDelta,
    ToolUse,
    Usage,
)
from tests.events import KINDS, said


def steps_of(*data: EventData, attempt: int = 1) -> list[tuple[str, str]]:
    return [(step.what, step.note) for step in timeline(said(*data, attempt=attempt))]


def test_the_steps_of_a_run() -> None:
    assert steps_of(
        Queued(),
        Started(attempt=1, worker="w1"),
        Reasoning(delta="hm"),
        Delta(delta="a"),
        Delta(delta="b"),
        ToolUse(phase="start", name="ls"),
        ToolUse(phase="update", name="ls"),
        ToolUse(phase="result", name="ls"),
        ToolCallDelta(index=0, id="c", name="weather", arguments=""),
        ToolCallDelta(index=0, arguments="{}"),
        Usage(total_tokens=3),
        Completed(),
    ) == [
        ("queued", ""),
        ("start", "w1"),
        ("text", ""),
        ("tool", "ls"),
        ("tool_result", "ls"),
        ("call", "weather"),
        ("end", "stop"),
    ]


def test_how_else_a_run_may_end() -> None:
    assert steps_of(Failed(code="worker_lost", message="m")) == [("error", "worker_lost")]
    assert steps_of(Cancelled(reason=StopReason.USER)) == [("cancelled", "user")]
    assert steps_of(Queued(reason=StopReason.DRAIN)) == [("queued", "drain")]


@pytest.mark.parametrize("thing", [thing for thing, stream, _ in KINDS if stream == "lifecycle"])
def test_every_lifecycle_event_is_a_step_by_its_phase(thing: EventData) -> None:
    (event,) = said(thing)
    assert isinstance(event, LifecycleEvent)
    assert [step.what for step in timeline([event])] == [event.data.phase]


def test_each_attempt_that_speaks_has_a_first_text() -> None:
    events = [*said(Delta(delta="a")), *said(Delta(delta="b"), Delta(delta="c"), first=2, attempt=2)]
    steps = list(timeline(events))
    assert [(step.what, step.seq, step.attempt, step.at_ms) for step in steps] == [("text", 1, 1, 1), ("text", 2, 2, 2)]


def test_a_timeline_goes_on_where_it_stands() -> None:
    line = Timeline()
    assert [step.what for step in line.add(said(Delta(delta="a")))] == ["text"]
    assert [step.what for step in line.add(said(Delta(delta="b"), Completed(), first=2))] == ["end"]
