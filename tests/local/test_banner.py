from __future__ import annotations

import ast
import json
import shlex

import pytest

from local.banner import agents, banner, curl, snippet
from worker.agents.demo_config import DemoConfig
from worker.agents.discovery import DiscoveredAgent

URL = "http://127.0.0.1:8000"


FOUND = (
    DiscoveredAgent("main", DemoConfig(description="The demo agent"), "always"),
    DiscoveredAgent("opencode", DemoConfig(description="The CLI opencode"), "it is on PATH: /bin/opencode"),
)


def test_everything_to_copy_stands_at_the_left_margin() -> None:
    lines = banner(URL, "abc", "main", FOUND).splitlines()
    assert curl(URL, "abc", "main") in lines
    assert set(snippet(URL, "abc", "main").splitlines()) <= set(lines)


def test_the_curl_line_is_what_a_shell_takes_it_for() -> None:
    words = shlex.split(curl(URL, "abc", "claude"))
    assert words[:3] == ["curl", "-N", f"{URL}/v1/chat/completions"]
    assert "Authorization: Bearer abc" in words
    body = json.loads(words[-1])
    assert (body["model"], body["stream"]) == ("claude", True)


@pytest.mark.parametrize("token", ["abc", None])
def test_the_python_lines_are_python(token: str | None) -> None:
    ast.parse(snippet(URL, token, "main"))
    assert 'model="claude"' in snippet(URL, token, "claude")


def test_without_authentication_no_token_is_asked_for() -> None:
    assert "Authorization" not in curl(URL, None, "main")


def test_what_nobody_has_configured_is_listed_with_its_reason() -> None:
    assert agents(FOUND).splitlines()[3:5] == [
        "  main      The demo agent (always)",
        "  opencode  The CLI opencode (it is on PATH: /bin/opencode)",
    ]


def test_what_a_file_says_needs_no_list() -> None:
    assert "agents.toml" not in banner(URL, "abc", "main", ())
