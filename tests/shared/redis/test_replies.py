from __future__ import annotations

import pytest

from shared.redis.replies import Reply, mapping, rows, text, texts


def test_replies_become_text() -> None:
    assert text("ä".encode()) == "ä"
    assert texts([b"a", 1]) == ["a", "1"]
    assert rows([[b"a", 1], []]) == [["a", "1"], []]


@pytest.mark.parametrize("reply", [[b"a", b"1", b"b", b"2"], {b"a": b"1", b"b": b"2"}])
def test_names_and_values_become_a_mapping(reply: Reply) -> None:
    assert mapping(reply) == {"a": "1", "b": "2"}
