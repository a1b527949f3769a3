from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shared.run.events import Delta, Retraction
from shared.run.flat_text import FlatText, WholeText


def flat(*deltas: tuple[int, str]) -> str:
    text = FlatText()
    return "".join(text.add(Delta(delta=delta, message=message)) for message, delta in deltas)


def test_one_message_is_its_deltas() -> None:
    assert flat((0, "a"), (0, " "), (0, "b")) == "a b"


def test_messages_are_joined_by_a_blank_line() -> None:
    assert flat((0, "a"), (1, "b"), (1, "c"), (5, "d")) == "a\n\nbc\n\nd"


def test_a_message_without_text_leaves_no_blank_line() -> None:
    assert flat((0, ""), (1, "a"), (2, ""), (3, "b"), (4, "")) == "a\n\nb"


def test_goes_on_with_a_text_begun_elsewhere() -> None:
    text = FlatText(message=1, empty=False)
    assert text.add(Delta(delta="a", message=1)) == "a"
    assert text.add(Delta(delta="b", message=2)) == "\n\nb"


def test_knows_whether_anything_was_said() -> None:
    text = FlatText()
    text.add(Delta(delta=""))
    assert text.empty
    text.add(Delta(delta=" "))
    assert not text.empty


@given(st.lists(st.lists(st.text())))
def test_however_they_are_split_the_messages_are_joined_the_same(messages: list[list[str]]) -> None:
    deltas = [(number, delta) for number, message in enumerate(messages) for delta in message]
    assert flat(*deltas) == "\n\n".join(filter(None, map("".join, messages)))


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["", "a", "b\n"]))))
def test_the_whole_text_is_what_a_stream_adds_up(steps: list[tuple[int, str]]) -> None:
    message, deltas, whole = 0, list[tuple[int, str]](), WholeText()
    for more, text in steps:
        message += more
        deltas.append((message, text))
        whole.feed(Delta(delta=text, message=message))
    assert str(whole) == flat(*deltas)


def test_a_retracted_message_leaves_the_whole_text() -> None:
    whole = WholeText()
    for data in (
        Delta(delta="First."),
        Delta(delta="The capital of Fra", message=1),
        Retraction(message=1),
        Delta(delta="The capital of France is Paris.", message=2),
    ):
        whole.feed(data)
    assert str(whole) == "First.\n\nThe capital of France is Paris."
