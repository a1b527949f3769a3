from __future__ import annotations

from shared.run.conversation import digest, exchange_digest

TURNS = ("one", "two", "three")


def test_nothing_has_no_digest() -> None:
    assert digest() == digest("", "") == ""


def test_texts_are_told_apart_and_so_is_where_one_ends() -> None:
    assert len({digest("ab"), digest("a", "b"), digest("b", "a"), digest("\ud800")}) == 4


def test_an_exchange_is_the_last_two_turns() -> None:
    assert exchange_digest(TURNS) == exchange_digest(TURNS[1:]) != exchange_digest(TURNS[:2])
    assert exchange_digest([]) == ""
