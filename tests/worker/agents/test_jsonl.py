from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.run.errors import ErrorCode, RunError
from shared.run.events import (
    Delta,
    FinishReason,
    Reasoning,
    Retraction,
    ToolCallDelta,
    ToolUse,
    Usage,
    from_json,
    make_event,
    to_json,
)
from worker.agents.jsonl import AgentEventParser
from worker.agents.protocol import AgentEvent, Finished


def parsed(*lines: object) -> list[AgentEvent]:
    parser = AgentEventParser()
    return [event for line in lines for event in parser.parse_line(json.dumps(line).encode())]


def failure(line: bytes) -> RunError:
    with pytest.raises(RunError) as failed:
        list(AgentEventParser().parse_line(line))
    return failed.value


def test_every_form_is_understood() -> None:
    assert parsed(
        {"delta": "Hello"},
        {"stream": "reasoning", "data": {"delta": "hm"}},
        {"stream": "tool", "data": {"phase": "start", "name": "ls", "toolCallId": "1", "args": {"a": [1, None]}}},
        {"stream": "usage", "data": {"promptTokens": 3, "completionTokens": 4, "totalTokens": 7}},
    ) == [
        Delta(delta="Hello"),
        Reasoning(delta="hm"),
        ToolUse(phase="start", name="ls", tool_call_id="1", args={"a": [1, None]}),
        Usage(prompt_tokens=3, completion_tokens=4, total_tokens=7),
    ]


def test_why_the_model_stopped_is_said_when_it_is_news() -> None:
    reasons = ("stop", "length", "length", "stop", "content_filter")
    assert parsed(*({"finish": reason} for reason in reasons)) == [
        Finished(reason=FinishReason.LENGTH),
        Finished(reason=FinishReason.STOP),
        Finished(reason=FinishReason.CONTENT_FILTER),
    ]
    assert list(AgentEventParser().parse_value(Finished(reason=FinishReason.LENGTH))) == [
        Finished(reason=FinishReason.LENGTH)
    ]


CALL = {"index": 0, "id": "c1", "name": "f", "arguments": "{"}


def test_a_call_of_a_clients_tool_may_come_in_pieces() -> None:
    pieces = ({**CALL, "extra": {"a": None}}, {"index": 0, "arguments": "}"}, {"index": 1, "id": "c2", "name": "g"})
    assert parsed(*({"stream": "call", "data": piece} for piece in pieces)) == [
        ToolCallDelta(index=0, id="c1", name="f", arguments="{", extra={"a": None}),
        ToolCallDelta(index=0, arguments="}"),
        ToolCallDelta(index=1, id="c2", name="g"),
    ]
    assert list(AgentEventParser().parse_value(ToolCallDelta(index=0, id="c1", name="f"))) == [
        ToolCallDelta(index=0, id="c1", name="f")
    ]


@pytest.mark.parametrize(
    "piece",
    [
        {"index": 0, "arguments": "{}"},
        {"index": 0, "id": "c1"},
        {"index": 0, "name": "f"},
        {"index": 1, "id": "c1", "name": "f"},
        {"index": -1, "id": "c1", "name": "f"},
    ],
)
def test_a_call_that_nobody_could_make_breaks_the_format(piece: dict[str, object]) -> None:
    failed = failure(json.dumps({"stream": "call", "data": piece}).encode())
    assert failed.code is ErrorCode.AGENT_PROTOCOL_ERROR


def test_a_call_is_begun_once() -> None:
    with pytest.raises(RunError, match="neither begins"):
        parsed(*[{"stream": "call", "data": CALL}] * 2)


def test_data_may_have_snake_case_names_and_more_than_we_know() -> None:
    data = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7, "cached_tokens": 1}
    assert parsed({"stream": "usage", "data": data}) == [Usage(prompt_tokens=3, completion_tokens=4, total_tokens=7)]


def test_messages_are_numbered_by_their_text() -> None:
    """`{"message": true}` at the start, or twice, or before empty text, leaves no number out."""
    begins = {"message": True}
    assert parsed(
        begins, {"delta": "a"}, {"delta": "b"}, begins, begins, {"delta": ""}, begins, {"delta": "c"}, begins
    ) == [
        Delta(delta="a", message=0),
        Delta(delta="b", message=0),
        Delta(delta="c", message=1),
    ]


def test_a_message_that_broke_off_is_retracted_once() -> None:
    lines = ({"retract": True}, {"delta": "Fra"}, {"retract": True}, {"retract": True}, {"delta": "France"})
    assert parsed(*lines) == [Delta(delta="Fra"), Retraction(message=0), Delta(delta="France", message=1)]


def test_an_error_fails_the_run_with_the_agents_own_words() -> None:
    failed = failure(b'{"error": {"message": "The lake is frozen.", "code": 7}}')
    assert (failed.code, failed.message) == (ErrorCode.AGENT_FAILED, "The lake is frozen.")


@pytest.mark.parametrize(
    "line",
    [
        b"Hello",
        b"[]",
        b'"text"',
        b"null",
        b"{}",
        b'{"delta": 1}',
        b'{"delta": null}',
        b'{"delta": "a", "message": true}',
        b'{"delta": "a", "delat": "b"}',
        b'{"message": false}',
        b'{"message": 1}',
        b'{"message": "a"}',
        b'{"stream": "tool"}',
        b'{"stream": "tool", "data": []}',
        b'{"stream": "tool", "data": {"phase": "begin", "name": "x"}}',
        b'{"stream": "usage", "data": {"promptTokens": -1}}',
        b'{"stream": "assistant", "data": {"delta": "a"}}',
        b'{"stream": ["tool"], "data": {}}',
        b'{"error": "text"}',
        b'{"error": {}}',
        b'{"stream": "tool", "data": {"phase": "start", "name": "x", "args": NaN}}',
        b"\xef\xbb\xbf{}",
        b"[" * 100_000,
        b'{"stream": "tool", "data": {"phase": "start", "name": "x", "args": ' + b"[" * 300 + b"]" * 300 + b"}}",
        b"1" * 5_000,
    ],
    ids=lambda line: line[:50].decode(errors="replace"),
)
def test_a_line_that_is_no_such_object_breaks_the_protocol(line: bytes) -> None:
    assert failure(line).code is ErrorCode.AGENT_PROTOCOL_ERROR


def test_the_line_is_shown_to_operators_and_not_to_clients() -> None:
    failed = failure(b"password=xyzzy" + b"." * 10_000)
    assert "xyzzy" in failed.detail
    assert "xyzzy" not in failed.message
    assert len(failed.detail) < 300


def test_a_wrong_field_is_named() -> None:
    failed = failure(b'{"stream": "tool", "data": {"phase": "begin", "name": "x"}}')
    assert "tool" in failed.message
    assert "`phase`" in failed.message


def test_text_of_any_kind_can_be_written_to_the_log() -> None:
    """JavaScript prints the halves of a character that it has cut in two."""
    lines = [
        b'{"delta": "\\ud83d"}',
        b'{"stream": "reasoning", "data": {"delta": "\\ud83d"}}',
        b'{"stream": "tool", "data": {"phase": "start", "name": "\\ud83d", "args": {"\\ude00": "\\ud83d"}}}',
    ]
    parser = AgentEventParser()
    for event in (event for line in lines for event in parser.parse_line(line)):
        assert not isinstance(event, Finished)
        written = make_event(event, run_id="r", session_key="s", attempt=1, seq=1, ts=1)
        assert from_json(to_json(written)) == written
    with pytest.raises(RunError, match="\ufffd"):
        list(parser.parse_line(b'{"error": {"message": "\\ud83d"}}'))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
keys = st.sampled_from(["delta", "message", "stream", "data", "error", "phase", "name", "promptTokens"])
near_misses = st.dictionaries(
    keys, json_values | st.sampled_from(["tool", "usage", "start"]) | st.dictionaries(keys, json_values), max_size=3
)


@given(st.binary() | near_misses.map(lambda value: json.dumps(value).encode()))
def test_no_line_raises_anything_else(line: bytes) -> None:
    with contextlib.suppress(RunError):
        list(AgentEventParser().parse_line(line))


class Unspeakable:
    def __repr__(self) -> str:
        raise LookupError


@given(
    near_misses
    | json_values
    | st.just(Unspeakable())
    | st.builds(lambda o: {"stream": "tool", "data": {"args": o}}, st.just({1, 2}))
)
def test_no_value_raises_anything_else(value: object) -> None:
    with contextlib.suppress(RunError):
        list(AgentEventParser().parse_value(value))


def test_a_python_agent_may_yield_said_things() -> None:
    parser = AgentEventParser()
    tool, second = ToolUse(phase="result", name="ls", result="a\ud800"), Delta(delta="x", message=1)
    values = ["a", tool, second, "b", {"message": True}, "c", None, ""]
    assert [event for value in values for event in parser.parse_value(value)] == [
        Delta(delta="a"),
        ToolUse(phase="result", name="ls", result="a\ufffd"),
        Delta(delta="x", message=1),
        Delta(delta="b", message=1),
        Delta(delta="c", message=2),
    ]


def test_a_value_of_another_type_is_named_by_its_type() -> None:
    with pytest.raises(RunError, match="type bytes") as failed:
        list(AgentEventParser().parse_value(b"text"))
    assert failed.value.code is ErrorCode.AGENT_PROTOCOL_ERROR


def test_the_documented_lines_are_understood() -> None:
    block = Path("docs/agents.md").read_text().split("```")[1]
    *lines, error = block.strip().splitlines()
    parser = AgentEventParser()
    assert len([event for line in lines for event in parser.parse_line(line.encode())]) == len(lines) - 2
    assert failure(error.encode()).message == "why"
