from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date

import pytest
from pydantic import BaseModel

from shared.run.events import ToolUse
from worker.agents.jsonl import AgentEventParser
from worker.agents.python.frameworks.adapter_events import arguments, as_text, tool


class Weather(BaseModel):
    city: str


@dataclass
class Point:
    x: int


class Opaque:
    def __str__(self) -> str:
        return "opaque"


@pytest.mark.parametrize(
    ("output", "text"),
    [
        ("as it is", "as it is"),
        (Weather(city="Bonn"), '{"city":"Bonn"}'),
        (Point(1), '{"x":1}'),
        ([1, None, True], "[1,null,true]"),
        (date(2026, 1, 2), '"2026-01-02"'),
        (42, "42"),
    ],
)
def test_an_output_that_is_no_text_is_said_as_json(output: object, text: str) -> None:
    assert as_text(output) == text


@pytest.mark.parametrize(
    ("written", "read"), [('{"a": 1}', {"a": 1}), ("", ""), ("{oops", "{oops"), ({"a": 1}, {"a": 1}), (None, None)]
)
def test_arguments_are_read_if_they_can_be(written: object, read: object) -> None:
    assert arguments(written) == read


def test_whatever_a_tool_takes_or_gives_can_be_said() -> None:
    result = [Weather(city="Bonn"), math.nan, b"\xff", Opaque()]
    assert list(AgentEventParser().parse_value(tool("result", "look", None, result=result))) == [
        ToolUse(phase="result", name="look", result=[{"city": "Bonn"}, None, "_w==", "opaque"])
    ]
