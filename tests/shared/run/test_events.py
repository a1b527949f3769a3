from __future__ import annotations

import json
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.run.events import (
    PHASES,
    TERMINAL_PHASES,
    AssistantEvent,
    Cancelled,
    Completed,
    Delta,
    Event,
    EventData,
    Failed,
    LifecycleEvent,
    Phase,
    Queued,
    Reasoning,
    Started,
    StopReason,
    Terminal,
    Tokens,
    ToolCallDelta,
    ToolUse,
    Unknown,
    Usage,
    from_json,
    is_terminal,
    make_event,
    to_json,
)
from tests.events import KINDS, said

texts = st.text(st.characters(codec="utf-8"))
tokens = st.builds(Tokens, prompt_tokens=st.integers(0), completion_tokens=st.integers(0), total_tokens=st.integers(0))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=10,
)
things: st.SearchStrategy[EventData] = st.one_of(
    st.sampled_from([thing for thing, _, _ in KINDS]),
    st.builds(Queued, reason=st.none() | st.sampled_from(StopReason)),
    st.builds(Started, attempt=st.integers(1), worker=texts),
    st.builds(Completed, usage=tokens),
    st.builds(Failed, code=texts, message=texts, usage=tokens),
    st.builds(Cancelled, reason=st.sampled_from(StopReason), usage=tokens),
    st.builds(Delta, delta=texts, message=st.integers(0)),
    st.builds(ToolUse, phase=st.sampled_from(["start", "update", "result"]), name=texts, args=json_values),
    st.builds(
        ToolCallDelta,
        index=st.integers(0),
        id=texts,
        name=texts,
        arguments=texts,
        extra=st.dictionaries(texts, json_values, max_size=2),
    ),
    st.builds(Reasoning, delta=texts),
    st.builds(Usage, prompt_tokens=st.integers(0)),
)


@given(things)
def test_an_event_survives_its_json(thing: EventData) -> None:
    (whole,) = said(thing)
    again = from_json(to_json(whole))
    assert again == whole
    assert type(again.data) is type(thing)


@given(things)
def test_the_json_of_an_event_is_one_line(thing: EventData) -> None:
    """A pub/sub message carries several events, one per line."""
    assert b"\n" not in to_json(said(thing)[0])


def test_the_json_of_an_event_has_the_names_of_the_contract() -> None:
    whole = make_event(Delta(delta="Hi", message=1), run_id="r", session_key="s", attempt=2, seq=3, ts=4)
    assert json.loads(to_json(whole)) == {
        "v": 1,
        "runId": "r",
        "seq": 3,
        "ts": 4,
        "sessionKey": "s",
        "attempt": 2,
        "stream": "assistant",
        "data": {"delta": "Hi", "message": 1},
    }


def test_names_of_several_words_are_in_camel_case_and_nothing_is_null() -> None:
    data = json.loads(to_json(said(ToolUse(phase="start", name="t", tool_call_id="1"))[0]))["data"]
    assert data == {"phase": "start", "name": "t", "toolCallId": "1"}


def test_what_is_told_once_of_a_call_takes_no_place_in_its_other_pieces() -> None:
    begin, more = said(
        ToolCallDelta(index=0, id="1", name="t", extra={"a": None}), ToolCallDelta(index=0, arguments="{}")
    )
    assert json.loads(to_json(begin))["data"] == {
        "index": 0,
        "id": "1",
        "name": "t",
        "arguments": "",
        "extra": {"a": None},
    }
    assert json.loads(to_json(more))["data"] == {"index": 0, "arguments": "{}"}


@pytest.mark.parametrize(("thing", "stream", "phase"), KINDS)
def test_each_thing_has_its_stream(thing: EventData, stream: str, phase: str | None) -> None:
    (event,) = said(thing)
    whole = json.loads(to_json(event))
    assert (whole["stream"], whole["data"].get("phase")) == (stream, phase)
    assert from_json(to_json(event)) == event


def test_the_kinds_of_these_tests_are_all_there_are() -> None:
    assert {type(thing) for thing, _, _ in KINDS} == set(get_args(EventData)) - {Unknown}


def test_the_names_of_the_unions_are_those_of_their_classes() -> None:
    phases = {phase for _, stream, phase in KINDS if stream == "lifecycle"}
    assert phases == PHASES == set(get_args(Phase))
    assert {type(thing) for thing, _, phase in KINDS if phase in TERMINAL_PHASES} == set(get_args(Terminal))


@pytest.mark.parametrize(
    ("last", "thing"),
    [
        (True, Completed()),
        (True, Failed(code="x", message="")),
        (True, Cancelled(reason=StopReason.USER)),
        (False, Queued()),
        (False, Started(attempt=1, worker="w")),
        (False, Delta(delta="a")),
        (False, ToolUse(phase="result", name="t")),
    ],
)
def test_only_the_terminal_event_is_the_last(last: bool, thing: EventData) -> None:
    assert is_terminal(said(thing)[0]) is last


# --- what a later release writes --------------------------------------------------------------------------------------


def later(changes: dict[str, object], data: dict[str, object]) -> Event:
    (whole,) = said(Delta(delta="Hi"))
    text = json.loads(to_json(whole)) | changes
    return from_json(json.dumps(text | {"data": data}))


def test_fields_of_a_later_release_are_passed_over() -> None:
    whole = later({"v": 2, "new": 1}, {"delta": "Hi", "new": {}})
    assert isinstance(whole, AssistantEvent)
    assert whole.data == Delta(delta="Hi")


def test_a_stream_of_a_later_release_keeps_its_number() -> None:
    whole = later({"stream": "artifact"}, {"uri": "x"})
    assert isinstance(whole.data, Unknown)
    assert whole.seq == 1
    assert json.loads(to_json(whole))["data"] == {"uri": "x"}


def test_a_phase_of_a_later_release_ends_nothing() -> None:
    whole = later({"stream": "lifecycle"}, {"phase": "paused"})
    assert not isinstance(whole, LifecycleEvent)
    assert isinstance(whole.data, Unknown)


def test_an_error_code_of_a_later_release_is_kept() -> None:
    whole = later({"stream": "lifecycle"}, {"phase": "error", "code": "new_code", "message": "m"})
    assert whole.data == Failed(code="new_code", message="m")


# --- what no release writes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"x",
        b"{}",
        b"[]",
        b"null",
        b'{"stream": "tool"}',
        b'{"stream": []}',
        b'{"stream": "lifecycle", "data": {"phase": []}}',
    ],
)
def test_what_is_no_event_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match="validation error"):
        from_json(raw)


@pytest.mark.parametrize("place", [{"seq": 0}, {"attempt": -1}])
def test_numbers_begin_at_one(place: dict[str, int]) -> None:
    known = {"run_id": "r", "session_key": "s", "attempt": 1, "seq": 1, "ts": 1}
    with pytest.raises(ValidationError):
        make_event(Queued(), **known | place)  # type: ignore[arg-type]


def test_events_are_frozen() -> None:
    (whole,), delta = said(Queued()), Delta(delta="a")
    with pytest.raises(ValidationError):
        whole.seq = 2  # type: ignore[misc]
    with pytest.raises(ValidationError):
        delta.delta = "b"  # type: ignore[misc]
