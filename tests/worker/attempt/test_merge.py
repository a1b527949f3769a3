from __future__ import annotations

from itertools import groupby

from hypothesis import given

from shared.run.events import Delta, Reasoning, ToolCallDelta, ToolUse, Usage
from shared.run.flat_text import FlatText
from shared.run.run import ToolCall
from shared.run.tool_calls import ToolCallAssembler
from tests.spoken import spoken
from worker.agents.protocol import AgentEvent
from worker.attempt.merge import EVENT_CHARS, merged


def flat(emitted: list[AgentEvent]) -> str:
    text = FlatText()
    return "".join(text.add(one) for one in emitted if isinstance(one, Delta))


def called(emitted: list[AgentEvent]) -> tuple[ToolCall, ...]:
    calls = ToolCallAssembler()
    for one in emitted:
        if isinstance(one, ToolCallDelta):
            calls.add(one)
    return calls.whole


def test_adjacent_text_becomes_one_delta() -> None:
    assert list(merged([Delta(delta="a"), Delta(delta="b"), Delta(delta="c")])) == [Delta(delta="abc")]
    assert list(merged([Reasoning(delta="a"), Reasoning(delta="b")])) == [Reasoning(delta="ab")]


def test_what_stands_between_texts_keeps_its_place() -> None:
    tool = ToolUse(phase="start", name="t")
    emitted: list[AgentEvent] = [
        Delta(delta="a"),
        tool,
        Delta(delta="b"),
        Reasoning(delta="r"),
        Delta(delta="c"),
        Usage(),
        Usage(),
    ]
    assert list(merged(emitted)) == emitted


def test_two_messages_are_not_one() -> None:
    emitted = [Delta(delta="a"), Delta(delta="b", message=1)]
    assert list(merged(emitted)) == emitted


def test_nothing_said_is_no_event() -> None:
    assert list(merged([])) == []
    assert list(merged([Delta(delta=""), Delta(delta=""), Reasoning(delta="")])) == []


def test_an_event_holds_so_much_text_and_no_more() -> None:
    sizes = [len(one.delta) for one in merged([Delta(delta="x" * (2 * EVENT_CHARS + 1))]) if isinstance(one, Delta)]
    assert sizes == [EVENT_CHARS, EVENT_CHARS, 1]


def test_adjacent_pieces_of_a_call_become_one() -> None:
    begin = ToolCallDelta(index=0, id="a", name="f", arguments="1", extra={"x": 1})
    pieces: list[AgentEvent] = [
        begin,
        ToolCallDelta(index=0, arguments="2"),
        ToolCallDelta(index=0, arguments="3"),
        ToolCallDelta(index=1, id="b"),
    ]
    assert list(merged(pieces)) == [begin.model_copy(update={"arguments": "123"}), ToolCallDelta(index=1, id="b")]


def test_a_piece_holds_so_much_text_and_no_more_and_only_the_first_says_whose_it_is() -> None:
    first, *others = merged([ToolCallDelta(index=0, id="a", name="f", arguments="x" * (2 * EVENT_CHARS + 1))])
    assert first == ToolCallDelta(index=0, id="a", name="f", arguments="x" * EVENT_CHARS)
    assert others == [ToolCallDelta(index=0, arguments="x" * EVENT_CHARS), ToolCallDelta(index=0, arguments="x")]


@given(spoken(calls=3))
def test_merging_changes_no_text_and_no_order(emitted: list[AgentEvent]) -> None:
    events = list(merged(emitted))
    assert flat(events) == flat(emitted)
    assert called(events) == called(emitted)
    assert [one for one in events if isinstance(one, ToolUse | Usage)] == [
        one for one in emitted if isinstance(one, ToolUse | Usage)
    ]
    kinds = [type(one) for one in emitted if not _empty(one)]
    assert [kind for kind, _ in groupby(map(type, events))] == [kind for kind, _ in groupby(kinds)]


def _empty(emitted: AgentEvent) -> bool:
    match emitted:
        case Delta(delta=text) | Reasoning(delta=text):
            return not text
        case ToolCallDelta():
            return not (emitted.id or emitted.arguments)
        case _:
            return False
