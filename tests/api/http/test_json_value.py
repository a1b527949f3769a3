from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from api.http.json_value import compact, truthy


@pytest.mark.parametrize("value", [True, 1, -1, 0.5, "false", "0", " ", [], {}, [0], {"a": None}])
def test_true_in_javascript(value: JsonValue) -> None:
    assert truthy(value)


@pytest.mark.parametrize("value", [None, False, 0, 0.0, -0.0, ""])
def test_false_in_javascript(value: JsonValue) -> None:
    assert not truthy(value)


@given(st.text(st.characters()))
def test_any_text_is_one_line_of_ascii(text: str) -> None:
    written = compact(text)
    assert written.isascii()
    assert len(written.decode().splitlines()) == 1
    assert json.loads(written) == text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


def test_no_spaces_between() -> None:
    assert compact({"a": [1, None], "b": "é"}) == b'{"a":[1,null],"b":"\\u00e9"}'
