from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shared.run.events import Delta
from shared.run.flat_text import FlatText


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
