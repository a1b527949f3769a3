from __future__ import annotations

from collections.abc import Iterable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai._models import construct_type
from openai.types.chat import ChatCompletionChunk
from pydantic import JsonValue

from shared.run.errors import RunError
from shared.run.events import Delta, FinishReason, Reasoning, ToolCallDelta, Usage
from shared.run.run import ToolCall
from shared.run.tool_calls import ToolCallAssembler
from tests.worker.agents.asking import text
from tests.worker.agents.upstream import chunk, piece
from worker.agents.jsonl import AgentEventParser
from worker.agents.model_refusal import BROKEN_OFF, FAILED, NO_FORMAT, Refusal
from worker.agents.openai.upstream_answer import UpstreamAnswerParser
from worker.agents.protocol import AgentEvent, Finished

DONE = chunk(finish="stop")
COUNTS: Mapping[str, int] = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


def events_of(*chunks: JsonValue) -> list[AgentEvent]:
    """The events for chunks as the official client passes them on: it checks nothing."""
    answer, events = UpstreamAnswerParser(), list[AgentEvent]()
    for one in chunks:
        events += answer.feed(construct_type(type_=ChatCompletionChunk, value=one))  # type: ignore[arg-type]
    return [*events, *answer.end()]


def called(*chunks: JsonValue) -> tuple[ToolCall, ...]:
    """The events of the calls, checked by the rules for every agent."""
    parser, calls = AgentEventParser(), ToolCallAssembler()
    for one in events_of(*chunks):
        for checked in parser.parse_value(one):
            if isinstance(checked, ToolCallDelta):
                calls.add(checked)
    return calls.whole


def test_text_is_said_as_it_comes() -> None:
    assert events_of(chunk(role="assistant", content=""), chunk(content="Hel"), chunk(content="lo"), DONE) == [
        Delta(delta="Hel"),
        Delta(delta="lo"),
        Finished(reason=FinishReason.STOP),
    ]


def test_an_upstream_that_counts_along_is_counted_once() -> None:
    counted = [chunk(content="a", usage={**COUNTS, "total_tokens": total}) for total in (5, 6, 7)]
    assert [one for one in events_of(*counted, DONE) if isinstance(one, Usage)] == [Usage(**COUNTS)]


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ({"prompt_tokens": 3, "completion_tokens": 4}, Usage(**COUNTS)),
        ({"prompt_tokens": "3", "completion_tokens": -1, "total_tokens": None}, Usage()),
        ({}, Usage()),
    ],
)
def test_counts_that_are_none_are_zero(sent: dict[str, JsonValue], expected: Usage) -> None:
    assert events_of(chunk(choices=False, usage={"x": 1, **sent}), DONE)[0] == expected


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_reasoning_is_no_part_of_the_answer(name: str) -> None:
    events = events_of(
        chunk(extra={name: "hm"}), chunk(extra={name: ""}), chunk(extra={name: ["?"]}), chunk(content="Yes"), DONE
    )
    assert events[:-1] == [Reasoning(delta="hm"), Delta(delta="Yes")]


def test_a_refusal_is_an_answer() -> None:
    assert text(events_of(chunk(refusal="I would rather not."), DONE)) == "I would rather not."


def test_text_may_be_a_list_of_parts() -> None:
    parts: list[JsonValue] = [{"type": "thinking", "thinking": []}, {"type": "text", "text": "Hi"}, 1]
    assert text(events_of(chunk(content=parts), DONE)) == "Hi"


def test_only_one_answer_was_asked_for() -> None:
    second: JsonValue = {"index": 1, "delta": {"content": "b"}, "finish_reason": "length"}
    assert events_of({"choices": [second]}, chunk(content="a"), DONE, {"choices": None}) == [
        Delta(delta="a"),
        Finished(reason=FinishReason.STOP),
    ]


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("tool_calls", "tool_calls"),
        ("content_filter", "content_filter"),
        ("max_tokens", "length"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("end_turn", "stop"),
        ("function_call", "stop"),
        ("of a later release", "stop"),
    ],
)
def test_the_reason_to_finish_is_one_of_openais(sent: str, reason: str) -> None:
    assert events_of(chunk(content="a", finish=sent))[-1] == Finished(reason=FinishReason(reason))


@pytest.mark.parametrize(
    ("chunks", "refusal"),
    [
        ([], BROKEN_OFF),
        ([chunk(content="a")], BROKEN_OFF),
        ([chunk(finish="error")], FAILED),
        ([chunk(finish="abort")], FAILED),
        ([piece(id="c1", arguments="{}"), DONE], NO_FORMAT),
    ],
)
def test_an_answer_that_was_cut_off_does_not_look_whole(chunks: list[JsonValue], refusal: Refusal) -> None:
    with pytest.raises(RunError) as failed:
        events_of(*chunks)
    assert (failed.value.code, failed.value.message) == (refusal.code, refusal.message)


# --- calls ------------------------------------------------------------------------------------------------------------

TWO = (ToolCall(id="c1", name="f", arguments='{"a":1}'), ToolCall(id="c2", name="g", arguments="{}"))


SECOND = piece(1, id="c2", name="g", arguments="{}")


@pytest.mark.parametrize(
    "pieces",
    [
        [piece(0, id="c1", type="function", name="f", arguments='{"a"'), piece(0, arguments=":1}"), SECOND],
        [
            piece(0, id="c1", name="f"),
            piece(1, id="c2", name="g"),
            piece(1, arguments="{}"),
            piece(0, arguments='{"a":1}'),
        ],
        [piece(None, id="c1", name="f", arguments='{"a":1}'), piece(None, id="c2", name="g", arguments="{}")],
        [
            piece(None, id="c1", name="f", arguments='{"a"'),
            piece(None, arguments=":1}"),
            piece(None, id="c2", name="g", arguments="{}"),
        ],
        [piece(0, id="c1", name="f", arguments='{"a":1}'), piece(0, id="c2", name="g", arguments="{}")],
        [piece(0, id="c1", name="f", arguments='{"a"'), piece(0, id="c1", name="f", arguments=":1}"), SECOND],
        [piece(0, id="c1", name="f", arguments='{"a"'), piece(0, id="other", arguments=":1}"), SECOND],
        [piece(3, id="c1", name="f", arguments='{"a":1}'), piece(7, id="c2", name="g", arguments="{}")],
        [piece(0, id="c1", arguments='{"a"'), piece(0, name="f", arguments=":1}"), SECOND],
        [piece(0, id="c1", name="f", arguments='{"a":1}'), piece(1, id="c2", name="g", arguments={})],
    ],
    ids=[
        "as OpenAI",
        "mixed",
        "no index",
        "no index, in pieces",
        "one index for all",
        "all told again",
        "another id in each piece",
        "indexes with holes",
        "the name late",
        "arguments as an object",
    ],
)
def test_calls_are_numbered_and_named_once_whatever_the_server_does(pieces: list[JsonValue]) -> None:
    assert called(*pieces, DONE) == TWO


def test_a_call_without_an_id_gets_one() -> None:
    one, two = called(piece(0, name="f", arguments="{}"), piece(1, name="f"), DONE)
    assert one.id.startswith("call_")
    assert one.id != two.id


def test_what_the_server_adds_is_kept_wherever_it_comes() -> None:
    signature: JsonValue = {"google": {"thought_signature": "x"}}
    first = called(piece(None, id="c1", name="f", arguments="{}", extra_content=signature), DONE)
    later = called(piece(0, id="c1", name="f", arguments="{}"), piece(0, extra_content=signature), DONE)
    assert first == later == (ToolCall(id="c1", name="f", arguments="{}", extra={"extra_content": signature}),)


def test_what_no_reader_of_ours_could_read_is_left_out() -> None:
    deep: JsonValue = 1
    for _ in range(100):
        deep = [deep]
    assert called(piece(0, id="c1", name="f", extra_content=deep), DONE)[0].extra == {}
    assert called(piece(0, id="c\ud800", name="f", extra_content={"x": "\ud800"}), DONE)[0].extra == {
        "extra_content": {"x": "\ufffd"}
    }


@given(st.lists(st.tuples(st.text(), st.integers(1, 5)), max_size=3), st.booleans())
def test_calls_are_the_same_however_they_are_split(calls: list[tuple[str, int]], again: bool) -> None:
    chunks = list[JsonValue]()
    for number, (arguments, size) in enumerate(calls):
        sent: dict[str, JsonValue] = {"id": f"c{number}", "name": f"f{number}"}
        chunks.append(piece(number, **sent, arguments=""))
        pieces: Iterable[str] = (arguments[i : i + size] for i in range(0, len(arguments), size))
        chunks += [piece(number, **(sent if again else {}), arguments=one) for one in pieces]
    assert [(call.id, call.arguments) for call in called(*chunks, DONE)] == [
        (f"c{number}", arguments) for number, (arguments, _) in enumerate(calls)
    ]
