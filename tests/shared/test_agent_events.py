"""`shared.events` is the address by which agents outside of this repository import the events that they yield."""

from __future__ import annotations

import pytest

from shared import events
from shared.run.events import EventData
from worker.agents.jsonl import AgentEventParser


def test_its_names_stay() -> None:
    assert set(events.__all__) == {"Call", "Delta", "Reasoning", "Tool", "Usage"}


@pytest.mark.parametrize(
    "event",
    [
        events.Delta(delta="Hi"),
        events.Tool(phase="start", name="ls"),
        events.Call(index=0, id="c1", name="ls"),
        events.Reasoning(delta="Hm"),
        events.Usage(prompt_tokens=1),
    ],
)
def test_an_agent_may_yield_each_of_them(event: EventData) -> None:
    assert list(AgentEventParser().parse_value(event)) == [event]
