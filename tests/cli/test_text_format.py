from __future__ import annotations

import pytest

from cli.text_format import duration, line, size


@pytest.mark.parametrize(
    ("ms", "expected"),
    [
        (None, "-"),
        (0, "0 ms"),
        (12.345, "12.3 ms"),
        (999, "999 ms"),
        (1_000, "1 s"),
        (90_000, "1.5 min"),
        (5_400_000, "1.5 h"),
        (172_800_000, "2 d"),
    ],
)
def test_a_time_has_a_unit(ms: float | None, expected: str) -> None:
    assert duration(ms) == expected


@pytest.mark.parametrize(("count", "expected"), [(None, "-"), (12, "12 B"), (1536, "1.5 KiB"), (3 * 1024**3, "3 GiB")])
def test_so_has_a_size(count: int | None, expected: str) -> None:
    assert size(count) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [(None, "-"), ("", "-"), ("a\nb", "a b"), ("\x1b[31mred\x07", " [31mred "), ("äöü 😀", "äöü 😀")],
)
def test_a_terminal_obeys_nothing_in_a_line(text: str | None, expected: str) -> None:
    assert line(text) == expected
