from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.run.text import js_trim, well_formed

ANY_TEXT = st.text(st.characters())  # lone surrogates included


@pytest.mark.parametrize("space", "\t\n\v\f\r \u00a0\u1680\u2000\u200a\u2028\u2029\u202f\u205f\u3000\ufeff")
def test_trims_what_javascript_trims(space: str) -> None:
    assert js_trim(f"{space}a{space}b{space}") == f"a{space}b"


@pytest.mark.parametrize("kept", "\u0085\x1c\x1d\x1e\x1f\u200b\u180e\x00")
def test_keeps_what_only_python_or_nobody_takes_for_white_space(kept: str) -> None:
    assert js_trim(f" {kept} ") == kept


@pytest.mark.parametrize(
    ("text", "mended"),
    [
        ("plain", "plain"),
        ("äöü 😀", "äöü 😀"),
        ("\ud800", "\ufffd"),
        ("a\udc00b", "a\ufffdb"),
        ("\ud800\ud800", "\ufffd\ufffd"),
        ("\udc00\ud800", "\ufffd\ufffd"),
        ("\ud83d\ude00", "😀"),
        ("cut \ud83d", "cut \ufffd"),
    ],
)
def test_a_lone_surrogate_becomes_the_replacement_character(text: str, mended: str) -> None:
    assert well_formed(text) == mended


@given(ANY_TEXT)
def test_any_text_can_be_encoded_afterwards(text: str) -> None:
    assert well_formed(text).encode().decode() == well_formed(text)


@given(st.text())
def test_text_without_surrogates_stays_as_it_is(text: str) -> None:
    assert well_formed(text) == text
