"""Which agents answer where there is no agents.toml."""

from __future__ import annotations

import subprocess
from pathlib import Path

import httpx
import pytest
from anyio import to_thread

from tests.e2e.process import environment
from tests.local.conftest import Start
from tests.local.session import REAL, Session
from tests.worker.agents.upstream import chunk, stream, upstream
from worker.agents.demo import GREETING


@pytest.fixture
def claude(tmp_path: Path) -> Path:
    """A directory with a program that prints what that CLI prints."""
    program = tmp_path / "bin" / "claude"
    program.parent.mkdir()
    answer = '{"type":"result","subtype":"success","is_error":false,"result":"Hi from the CLI."}'
    program.write_text(f"#!/bin/sh\necho '{answer}'\n")
    program.chmod(0o700)
    return program.parent


def answer(session: Session, model: str) -> str:
    body = {"model": model, "messages": [{"role": "user", "content": "Say hello"}]}
    response = httpx.post(f"{session.url}/v1/chat/completions", json=body, timeout=30)
    return str(response.json()["choices"][0]["message"]["content"])


def served(session: Session) -> list[str]:
    return [model["id"] for model in httpx.get(f"{session.url}/v1/models").json()["data"]]


def listed(session: Session) -> list[str]:
    """The lines of the agents in the banner."""
    return session.output.partition("it has found:\n\n")[2].partition("\n\n")[0].splitlines()


def test_nothing_found(start: Start) -> None:
    session = start(REAL, AUTH="none").ready()
    assert served(session) == ["demo", "main"]
    assert answer(session, "main") == answer(session, "gpt-4o") == f"{GREETING}\n\nSay hello"
    assert "none of claude, codex, gemini, opencode, pi, openclaw is on PATH" in listed(session)[0]
    assert "agents.example.toml" in session.output


def test_a_cli_on_path_answers_to_its_name_and_the_printed_lines_ask_it(start: Start, claude: Path) -> None:
    session = start(REAL, AUTH="none", PATH=str(claude)).ready()
    assert served(session) == ["claude", "demo", "main"]
    assert answer(session, "claude") == "Hi from the CLI."
    assert answer(session, "gpt-4o") == f"{GREETING}\n\nSay hello"
    assert [line.split()[0] for line in listed(session)] == ["main", "claude", "demo"]
    (line,) = [line for line in session.output.splitlines() if line.startswith("curl ")]
    done = subprocess.run(["/bin/sh", "-c", line], env=environment({}), capture_output=True, text=True, check=True)
    assert "Hi from the CLI." in done.stdout


def test_the_worker_logs_it_too(start: Start, claude: Path) -> None:
    session = start(REAL, AUTH="none", PATH=str(claude), LOG_FORMAT="json").ready()
    lines = [line for line in session.output.splitlines() if "agent.found" in line]
    assert len(lines) == 3
    assert f'"why": "it is on PATH: {claude}/claude"' in lines[1]


async def test_a_models_key_makes_it_the_agent_of_every_request(start: Start, claude: Path) -> None:
    async with upstream(stream(chunk(content="Hi from the model."), chunk(finish="stop"))) as model:
        settings = {"AUTH": "none", "PATH": str(claude), "OPENAI_API_KEY": "s3cret", "OPENAI_BASE_URL": model.url}
        session = await to_thread.run_sync(lambda: start(REAL, **settings).ready())
        assert await to_thread.run_sync(answer, session, "gpt-4o") == "Hi from the model."
    assert model.headers[0]["authorization"] == "Bearer s3cret"
    assert await to_thread.run_sync(served, session) == ["claude", "demo", "main", "openai"]
    assert "s3cret" not in session.output


def test_with_a_file_nothing_else_is_served(start: Start, claude: Path, folder: Path) -> None:
    (folder / "agents.toml").write_text('[agents.mine]\nkind = "demo"\n')
    session = start(REAL, AUTH="none", PATH=str(claude)).ready()
    assert served(session) == ["mine"]
    assert listed(session) == []
