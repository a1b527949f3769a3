from __future__ import annotations

import json

from api.monitor.run_updates import RunUpdates
from shared.run.events import Completed, Delta, Started, ToolUse
from tests.events import said


def test_what_events_add_to_a_page() -> None:
    update = RunUpdates().add(said(Started(attempt=1, worker="w1"), Delta(delta="Hel"), Delta(delta="lo"), Completed()))
    assert update.text == "Hello"
    assert [step.what for step in update.steps] == ["start", "text", "end"]
    assert [json.loads(line)["seq"] for line in update.raw] == [1, 2, 3, 4]


def test_it_goes_on_where_the_page_stands() -> None:
    updates = RunUpdates()
    updates.add(said(Delta(delta="One.")))
    update = updates.add(said(Delta(delta="Two.", message=1), ToolUse(phase="start", name="ls"), first=2))
    assert update.text == "\n\nTwo."
    assert [step.what for step in update.steps] == ["tool"]


def test_an_attempt_that_begins_to_speak_is_a_step() -> None:
    updates = RunUpdates()
    updates.add(said(Delta(delta="One.")))
    assert [step.what for step in updates.add(said(Delta(delta="Two."), first=2, attempt=2)).steps] == ["text"]
