from __future__ import annotations

import pytest

from api.http.api_errors import ApiError
from api.http.query import cursor, flag, number, one_of
from shared.run.states import State


@pytest.mark.parametrize(
    ("text", "value"), [(None, False), ("false", False), ("0", False), ("true", True), ("1", True)]
)
def test_a_flag(text: str | None, value: bool) -> None:
    assert flag(text, "stream") is value


@pytest.mark.parametrize("text", ["", "TRUE", "yes", "2", " true"])
def test_what_is_no_flag_is_told(text: str) -> None:
    with pytest.raises(ApiError, match="`stream`: must be true or false") as failed:
        flag(text, "stream")
    assert (failed.value.status, failed.value.error["param"]) == (400, "stream")


@pytest.mark.parametrize(("text", "value"), [(None, 7), ("0", 0), ("007", 7), ("9", 9)])
def test_a_number(text: str | None, value: int) -> None:
    assert number(text, "n", default=7, most=9) == value


@pytest.mark.parametrize("text", ["", "10", "-1", "1.0", "1e0", " 1", "²", "٣", "9" * 5000, "x"])
def test_what_is_no_number_in_bounds_is_told(text: str) -> None:
    with pytest.raises(ApiError, match="`n`: must be a whole number from 0 to 9") as failed:
        number(text, "n", most=9)
    assert (failed.value.status, failed.value.error["param"]) == (400, "n")


def test_a_number_can_have_a_least() -> None:
    with pytest.raises(ApiError, match="from 1 to 9"):
        number("0", "n", least=1, most=9)


def test_one_of_some_words() -> None:
    assert [one_of(text, "state", State) for text in (None, "failed")] == ["", "failed"]
    for text in ("", "Failed", "lost"):
        with pytest.raises(ApiError, match="`state`: must be one of queued, running") as failed:
            one_of(text, "state", State)
        assert failed.value.error["param"] == "state"


def test_a_cursor_is_one_that_a_page_gave() -> None:
    assert [cursor(text) for text in ("", "1700000000000.123")] == ["", "1700000000000.123"]
    for text in ("x", "(1", "-inf", "1.", "1e5"):
        with pytest.raises(ApiError, match="`cursor`: must be a `next_cursor`"):
            cursor(text)
