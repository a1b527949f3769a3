"""The service of the real Procfile, started and used as a user at the terminal does."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.process import ROOT, environment
from tests.e2e.waiting import until
from tests.local.conftest import Start
from tests.local.session import REAL, Session


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """One session for the tests that only use it."""
    session = Session(tmp_path_factory.mktemp("local"), REAL, {})
    try:
        yield session.ready()
    finally:
        session.end()


def run(*command: str) -> str:
    done = subprocess.run(command, env=environment({}), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def token(session: Session) -> str:
    return session.output.partition('api_key="')[2].partition('"')[0]


def test_prints_where_it_is(session: Session) -> None:
    assert f"runrelay is ready: {session.url}\n" in session.output


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_printed_curl_line_streams_an_answer(session: Session) -> None:
    (line,) = [line for line in session.output.splitlines() if line.startswith("curl ")]
    frames = run("/bin/sh", "-c", line).split("\n\n")
    assert '"delta":{"role":"assistant"}' in frames[1]
    assert frames[-2:] == ["data: [DONE]", ""]


def test_the_printed_python_lines_stream_an_answer(session: Session) -> None:
    lines = session.output.partition("has the package openai):\n\n")[2].partition("\nCtrl-C stops it.")[0]
    assert "Say hello" in run(sys.executable, "-c", lines)


def test_the_command_line_finds_it_by_itself(session: Session) -> None:
    """In the folder of the session, a command needs no address, no token and no URL of the embedded Redis."""
    own = environment({"PYTHONPATH": str(ROOT)})
    for words in (["run", "main", "Say hello"], ["queue", "stats"], ["doctor"]):
        command = [sys.executable, "-m", "cli", *words]
        done = subprocess.run(command, cwd=session.folder, env=own, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), done


def test_a_client_without_the_token_is_refused(session: Session) -> None:
    assert httpx.get(f"{session.url}/v1/models").status_code == 401


def test_ctrl_c_leaves_no_process(start: Start) -> None:
    session = start(REAL).ready()
    session.press_ctrl_c()
    assert session.exit_code() == 0
    assert session.left_over() == []
    assert session.output.endswith("runrelay: stopped\n")
    assert "Traceback" not in session.output


def test_the_next_start_knows_the_runs_and_the_token_of_the_last(start: Start) -> None:
    body = {"model": "main", "messages": [{"role": "user", "content": "once"}]}

    def answer() -> object:
        session = start(REAL).ready()
        headers = {"Authorization": f"Bearer {token(session)}", "Idempotency-Key": "one"}
        response = httpx.post(f"{session.url}/v1/chat/completions", json=body, headers=headers, timeout=30)
        session.press_ctrl_c()
        assert session.exit_code() == 0
        return response.json()["id"]

    assert answer() == answer()


def test_the_directory_of_a_session_that_was_not_used_for_long_is_removed(start: Start, folder: Path) -> None:
    old, young = [folder / ".runrelay/work" / (digit * 64) for digit in "01"]
    for work in (old, young):
        work.mkdir(parents=True)
    os.utime(old, (0, 0))
    start(REAL, PATH=os.defpath).ready()
    until(lambda: not old.exists())
    assert young.exists()
