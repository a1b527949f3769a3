"""That each kind of parameter reads what its schema shows; which texts are refused is tested beside `query`."""

from __future__ import annotations

import re

import pytest
from starlette.requests import Request

from api.http.api_errors import ApiError
from api.http.parameters import Cursor, Flag, Number, OneOf, Text, Time
from api.http.query import LARGEST
from shared.ledger.tallies import Window


def requested(query: str = "", *, header: str | None = None) -> Request:
    headers = [] if header is None else [(b"x-place", header.encode())]
    return Request(
        {"type": "http", "query_string": query.encode(), "headers": headers, "path_params": {"place": "in the path"}}
    )


def test_a_text_is_read_where_it_stands() -> None:
    assert Text("place", "").of(requested("place=in+the+query")) == "in the query"
    assert Text("X-Place", "", place="header").of(requested(header="in a header")) == "in a header"
    assert Text("place", "", place="path").of(requested()) == "in the path"
    assert Text("other", "").of(requested("place=x")) == ""


def test_a_flag_and_its_default() -> None:
    stream = Flag("stream", "")
    assert (stream.of(requested("stream=true")), stream.of(requested())) == (True, stream.schema["default"])


def test_a_number_and_its_bounds() -> None:
    limit = Number("limit", "", default=20, least=1, most=100)
    assert limit.schema == {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}
    assert [limit.of(requested(query)) for query in ("", "limit=1", "limit=100")] == [20, 1, 100]
    for outside in (0, 101):
        with pytest.raises(ApiError, match="`limit`: must be a whole number from 1 to 100"):
            limit.of(requested(f"limit={outside}"))


def test_a_header_can_be_a_number() -> None:
    place = Number("X-Place", "", place="header")
    assert (place.of(requested(header="7")), place.of(requested())) == (7, 0)


def test_a_time_can_be_absent() -> None:
    since = Time("since_ms", "")
    assert (since.of(requested()), since.of(requested("since_ms=0"))) == (None, 0)
    assert "default" not in since.schema
    with pytest.raises(ApiError, match="since_ms"):
        since.of(requested(f"since_ms={LARGEST + 1}"))


def test_one_of_some_words_and_its_default() -> None:
    window = OneOf("window", "", Window, default=Window.HOUR)
    assert window.schema == {"type": "string", "enum": ["hour", "day"], "default": "hour"}
    assert [window.of(requested(query)) for query in ("", "window=day")] == ["hour", "day"]
    with pytest.raises(ApiError, match="must be one of hour, day"):
        window.of(requested("window=year"))
    without = OneOf("window", "", Window)
    assert (without.of(requested()), "default" in without.schema) == ("", False)


@pytest.mark.parametrize("text", ["", "1700000000000.123", "17", "x", "-1", "1.", "1e5", "9" * 17])
def test_a_cursor_is_read_just_when_its_pattern_fits(text: str) -> None:
    cursor = Cursor("cursor", "")
    if re.search(str(cursor.schema["pattern"]), text):
        assert cursor.of(requested(f"cursor={text}")) == text
    else:
        with pytest.raises(ApiError, match="cursor"):
            cursor.of(requested(f"cursor={text}"))
