from __future__ import annotations

import pytest

from api.monitor import formatting

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (None, "–"),  # noqa: RUF001
        (0, "0 ms"),
        (999, "999 ms"),
        (999.7, "1.0 s"),
        (3_440, "3.4 s"),
        (9_960, "10 s"),
        (59_400, "59 s"),
        (59_600, "1 min"),
        (90_000, "1 min"),
        (59 * MINUTE, "59 min"),
        (HOUR, "1 h"),
        (3 * HOUR + 12 * MINUTE, "3 h 12 min"),
        (DAY, "1 d"),
        (2 * DAY + 4 * HOUR, "2 d 4 h"),
    ],
)
def test_a_length_of_time(ms: float | None, text: str) -> None:
    assert formatting.format_duration(ms) == text


def test_how_long_ago() -> None:
    assert formatting.format_age(1_000, 4_400) == "3.4 s"
    assert formatting.format_age(5_000, 4_400) == "0 ms"
    assert formatting.format_age(None, 1) == formatting.NOTHING


@pytest.mark.parametrize(
    ("bytes", "text"),
    [
        (None, "–"),  # noqa: RUF001
        (0, "0 B"),
        (1023, "1023 B"),
        (1536, "1.5 KiB"),
        (200 * 1024, "200 KiB"),
        (3 * 1024**3, "3.0 GiB"),
        (5000 * 1024**4, "5000 TiB"),
    ],
)
def test_bytes(bytes: int | None, text: str) -> None:
    assert formatting.format_bytes(bytes) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(None, "–"), (0, "0"), (12, "12"), (0.25, "0.2"), (1234.5, "1\u202f234"), (1_000_000, "1\u202f000\u202f000")],  # noqa: RUF001
)
def test_numbers(number: float | None, text: str) -> None:
    assert formatting.format_number(number) == text


def test_moments() -> None:
    assert formatting.format_timestamp(1_700_000_000_999) == "2023-11-14 22:13:20 UTC"
    assert formatting.format_timestamp(None) == ""
    assert formatting.format_clock(1_700_000_000_999) == "22:13"


def test_an_id_is_cut_to_what_tells_it_from_others() -> None:
    assert formatting.short_id("chatcmpl_0f3ab1c2-aaaa") == "0f3ab1c2"
    assert formatting.short_id("x") == "x"
