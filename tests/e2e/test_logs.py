"""What a real service writes into its log, and what it never writes."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared.observe.logging import session_digest
from tests.e2e.asking import CHAT, asked, authorised
from tests.e2e.process import ROOT
from tests.e2e.service import Service, started
from tests.e2e.waiting import until

CANARY = "tell-nobody-4711"
USER = "ann@example.com"
LEAKY = ROOT / "tests/e2e/leaky.toml"
AGENTS = sorted(tomllib.loads(LEAKY.read_text())["agents"])


def exercised(folder: Path, **settings: str) -> Service:
    """A service that has stopped. Before that, a client sent the canary to every leaky agent, for a whole answer and
    for a stream, and in requests that the API refuses.
    """
    with started(folder, settings={"AGENTS_FILE": str(LEAKY), **settings}) as service:
        with httpx.Client(base_url=service.url, headers=authorised(), timeout=30) as http:
            for agent in AGENTS:
                http.post(CHAT, json=asked(CANARY, agent, user=USER))
                http.post(CHAT, json=asked(CANARY, agent, stream=True))
            http.post("/v1/runs?secret=" + CANARY, json={"agent": CANARY, "input": CANARY, "wrong": CANARY})
            http.post(CHAT, content=b'{"messages": "%s"' % CANARY.encode())
            http.get("/nowhere%0Aforged line")
        worker = service.workers[0]
        until(lambda: worker.output.count("run.ended") == 2 * len(AGENTS))
    return service


@pytest.fixture(scope="module")
def silent(tmp_path_factory: pytest.TempPathFactory) -> Service:
    return exercised(tmp_path_factory.mktemp("silent"), LOG_FORMAT="json")


def lines(service: Service) -> list[dict[str, Any]]:
    output = "".join(process.output for process in (*service.webs, *service.workers))
    return [json.loads(line) for line in output.splitlines()]


@pytest.mark.parametrize("form", ["json", "text"])
def test_prompts_answers_and_names_are_not_logged(tmp_path: Path, form: str) -> None:
    service = exercised(tmp_path, LOG_FORMAT=form)
    for process in (*service.webs, *service.workers):
        assert CANARY not in process.output
        assert USER not in process.output


def test_they_are_when_that_is_wanted(tmp_path: Path) -> None:
    """This shows that the test above searches for the right words."""
    service = exercised(tmp_path, LOG_FORMAT="json", LOG_CONTENT="1")
    (web,), (worker,) = service.webs, service.workers
    assert all(output.count(CANARY) >= len(AGENTS) for output in (web.output, worker.output))
    assert USER in web.output
    assert f"ValueError: {CANARY}" in worker.output


def test_every_line_about_a_run_has_its_facts(silent: Service) -> None:
    about = [line for line in lines(silent) if "run" in line]
    assert {line["event"] for line in about} >= {
        "run.accepted", "http.request", "run.started", "agent.raised", "run.ended",
    }  # fmt: skip
    for line in about:
        assert line.keys() >= {"session", "agent", "timestamp", "level", "role"}, line
        assert line["agent"] in AGENTS
        assert ("attempt" in line) == (line["role"] == "worker"), line
    named = [line for line in about if line["session"] == session_digest(f"agent:raises:openai-user:{USER}")]
    assert [line["event"] for line in named if line["role"] == "web"] == ["run.accepted", "http.request"]
    assert [line["event"] for line in named if line["role"] == "worker"] == ["run.started", "agent.raised", "run.ended"]


def test_every_request_has_a_line(silent: Service) -> None:
    requests = [line for line in lines(silent) if line["event"] == "http.request"]
    about_runs = [line for line in requests if "run" in line]
    assert len({line["run"] for line in about_runs}) == len(about_runs) == 2 * len(AGENTS)
    for line in about_runs:
        assert line.items() >= {"method": "POST", "path": CHAT, "owner": "alice", "level": "info"}.items()
        assert line["ms"] > 0
        assert line["bytes"] > 0
    assert [(line["path"], line["status"]) for line in requests if "run" not in line] == [
        ("/v1/runs", 400), (CHAT, 400), ("/nowhere%0Aforged%20line", 404),
    ]  # fmt: skip


def test_a_probe_that_succeeds_has_no_line(silent: Service) -> None:
    """The fixture has requested the service's health until it was ready."""
    assert [line for line in lines(silent) if line.get("path") == "/readyz" and line["status"] == 200] == []
