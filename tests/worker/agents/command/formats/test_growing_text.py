from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from worker.agents.command.formats.growing_text import GrowingText

texts = st.text("ab\N{SNOWMAN}", max_size=20)


@given(texts, st.lists(st.tuples(st.booleans(), st.integers(0, 20)), max_size=8))
def test_pieces_and_snapshots_add_up_to_the_text(text: str, acts: list[tuple[bool, int]]) -> None:
    grown, said = GrowingText(), ""
    for whole, end in acts:
        said += grown.snapshot(text[:end]) if whole else grown.add(text[len(said) : end])
    assert said + grown.snapshot(text) == text


def test_what_was_said_stays_said() -> None:
    grown = GrowingText()
    assert grown.add("Hello ") == "Hello "
    assert grown.snapshot("Hello") == ""
    assert grown.snapshot("Good bye") == ""
    assert grown.snapshot("Hello you") == "you"
