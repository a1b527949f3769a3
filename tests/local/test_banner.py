from __future__ import annotations

import ast
import json
import shlex

import pytest

from local.banner import banner, curl, snippet

URL = "http://127.0.0.1:8000"


def test_everything_to_copy_stands_at_the_left_margin() -> None:
    lines = banner(URL, "abc").splitlines()
    assert curl(URL, "abc") in lines
    assert set(snippet(URL, "abc").splitlines()) <= set(lines)


def test_the_curl_line_is_what_a_shell_takes_it_for() -> None:
    words = shlex.split(curl(URL, "abc"))
    assert words[:3] == ["curl", "-N", f"{URL}/v1/chat/completions"]
    assert "Authorization: Bearer abc" in words
    assert json.loads(words[-1])["stream"] is True


@pytest.mark.parametrize("token", ["abc", None])
def test_the_python_lines_are_python(token: str | None) -> None:
    ast.parse(snippet(URL, token))


def test_without_authentication_no_token_is_asked_for() -> None:
    assert "Authorization" not in curl(URL, None)
