from __future__ import annotations

import ast
import json
import shlex

import pytest

from local.banner import banner
from worker.agents.demo_config import DemoConfig
from worker.agents.discovery import DiscoveredAgent, Served
from worker.agents.kinds import AgentConfig

URL = "http://[::1]:8000"  # a shell would take the brackets for a pattern
DEMO = DemoConfig(description="The demo agent")
FOUND = (
    DiscoveredAgent("main", DEMO, "always"),
    DiscoveredAgent("opencode", DemoConfig(description="The CLI opencode"), "it is on PATH: /bin/opencode"),
)


def printed(token: str | None, agent: str = "main", found: tuple[DiscoveredAgent, ...] = ()) -> str:
    configs: dict[str, AgentConfig] = {agent: DEMO}
    return banner(URL, token, Served(configs, found))


def curl(text: str) -> list[str]:
    """The words of the line that is to be copied to a shell."""
    (line,) = [line for line in text.splitlines() if line.startswith("curl ")]
    return shlex.split(line)


def snippet(text: str) -> str:
    """The lines that are to be copied to Python."""
    return text.partition("has the package openai):\n\n")[2].partition("\nCtrl-C")[0]


def test_the_whole_text() -> None:
    assert printed("abc").splitlines() == [
        "",
        f"runrelay is ready: {URL}",
        "",
        f"To look after it: {URL}/monitor in a browser, or .venv/bin/runrelay top (or --help)",
        "",
        "With curl:",
        "",
        f"curl -N '{URL}/v1/chat/completions' -H 'Content-Type: application/json' -H 'Authorization: Bearer abc' "
        """-d '{"model": "main", "stream": true, "messages": [{"role": "user", "content": "Say hello"}]}'""",
        "",
        "With Python (.venv/bin/python has the package openai):",
        "",
        *snippet(printed("abc")).splitlines(),
        "",
        "Ctrl-C stops it.",
    ]


def test_a_shell_reads_the_curl_line_as_it_is_meant() -> None:
    words = curl(printed("abc", agent="claude"))
    assert words[:3] == ["curl", "-N", f"{URL}/v1/chat/completions"]
    assert "Authorization: Bearer abc" in words
    body = json.loads(words[-1])
    assert (body["model"], body["stream"]) == ("claude", True)


@pytest.mark.parametrize(("token", "key"), [("abc", "abc"), (None, "none")])
def test_the_python_lines_are_python(token: str | None, key: str) -> None:
    lines = snippet(printed(token, "claude"))
    assert len(ast.parse(lines).body) == 4
    assert f'(base_url="{URL}/v1", api_key="{key}")' in lines
    assert 'model="claude"' in lines


def test_without_authentication_the_curl_line_has_no_token() -> None:
    assert not any("Authorization" in word for word in curl(printed(None)))


def test_agents_that_the_worker_has_found_are_listed_with_the_reason() -> None:
    assert printed("abc", found=FOUND).splitlines()[2:10] == [
        "",
        "There is no agents.toml, so it serves what it has found:",
        "",
        "  main      The demo agent (always)",
        "  opencode  The CLI opencode (it is on PATH: /bin/opencode)",
        "",
        "Agents of your own: cp agents.example.toml agents.toml, edit it, and start again.",
        "",
    ]


def test_agents_of_a_file_need_no_list() -> None:
    assert "agents.toml" not in printed("abc")
