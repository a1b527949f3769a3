from __future__ import annotations

from itertools import groupby

from hypothesis import given

from shared.events import Delta, Reasoning, Tool, Usage
from shared.flat_text import FlatText
from tests.spoken import spoken
from worker.agents.protocol import Spoken
from worker.merge import EVENT_CHARS, merged


def flat(said: list[Spoken]) -> str:
    text = FlatText()
    return "".join(text.add(one) for one in said if isinstance(one, Delta))


def test_adjacent_text_becomes_one_delta() -> None:
    assert list(merged([Delta(delta="a"), Delta(delta="b"), Delta(delta="c")])) == [Delta(delta="abc")]
    assert list(merged([Reasoning(delta="a"), Reasoning(delta="b")])) == [Reasoning(delta="ab")]


def test_what_stands_between_texts_keeps_its_place() -> None:
    tool = Tool(phase="start", name="t")
    said: list[Spoken] = [
        Delta(delta="a"),
        tool,
        Delta(delta="b"),
        Reasoning(delta="r"),
        Delta(delta="c"),
        Usage(),
        Usage(),
    ]
    assert list(merged(said)) == said


def test_two_messages_are_not_one() -> None:
    said = [Delta(delta="a"), Delta(delta="b", message=1)]
    assert list(merged(said)) == said


def test_nothing_said_is_no_event() -> None:
    assert list(merged([])) == []
    assert list(merged([Delta(delta=""), Delta(delta=""), Reasoning(delta="")])) == []


def test_an_event_holds_so_much_text_and_no_more() -> None:
    sizes = [len(one.delta) for one in merged([Delta(delta="x" * (2 * EVENT_CHARS + 1))]) if isinstance(one, Delta)]
    assert sizes == [EVENT_CHARS, EVENT_CHARS, 1]


@given(spoken())
def test_merging_changes_no_text_and_no_order(said: list[Spoken]) -> None:
    events = list(merged(said))
    assert flat(events) == flat(said)
    assert [one for one in events if isinstance(one, Tool | Usage)] == [
        one for one in said if isinstance(one, Tool | Usage)
    ]
    kinds = [type(one) for one in said if not isinstance(one, Delta | Reasoning) or one.delta]
    assert [kind for kind, _ in groupby(map(type, events))] == [kind for kind, _ in groupby(kinds)]
