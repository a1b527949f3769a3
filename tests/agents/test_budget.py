"""The real pi, whose updates of a tool hold everything that the tool has printed so far, behind the whole service."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from tests.agents.clis import CLIS, PATH
from tests.e2e.service import ALICE, started

pytestmark = pytest.mark.timeout(300)


def test_a_build_that_prints_more_than_its_budget_loses_no_answer(tmp_path: Path, model: str) -> None:
    pi = CLIS["pi"]
    environment = pi.settled(tmp_path / "home", model)
    agents = tmp_path / "agents.toml"
    keys = f"args = {json.dumps(pi.args)}\nworkdir = {json.dumps(str(tmp_path))}\nmax_activity_chars = 8000"
    agents.write_text(f'[agents.pi]\nkind = "command"\npreset = "pi"\n{keys}\n')
    settings = {**environment, "PATH": PATH, "AGENTS_FILE": str(agents)}
    with (
        started(tmp_path, settings=settings) as service,
        httpx.Client(base_url=service.url, headers={"Authorization": f"Bearer {ALICE}"}, timeout=120) as http,
    ):
        body = {"model": "pi", "messages": [{"role": "user", "content": "Build it"}]}
        response = http.post("/v1/chat/completions", json=body)
        events = http.get(f"/v1/runs/{response.headers['X-Run-Id']}/events").text
    assert response.json()["choices"][0]["message"]["content"] == "I build it.\n\nIt is built."
    assert '"stream":"omitted"' in events
    assert '"phase":"result"' in events
    assert "line 60 of the build" in events
