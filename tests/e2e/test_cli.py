"""The command line as a user or a program uses it: a process of its own, against the real service."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.install import write_script
from tests.e2e.asking import authorised
from tests.e2e.play import say, wait
from tests.e2e.process import ROOT, environment
from tests.e2e.service import Service, started
from tests.e2e.waiting import until

TOKEN = "both-scopes"
COMMAND = [sys.executable, "-m", "cli"]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service of its own, because tests pause its queue."""
    settings = {"API_TOKENS": f"me:{TOKEN}", "OPERATE_TOKENS": f"me:{TOKEN}"}
    with started(tmp_path_factory.mktemp("cli"), settings=settings) as service:
        yield service


@pytest.fixture
def http(service: Service) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.url, headers=authorised(TOKEN), timeout=30) as http:
        yield http


def settings(service: Service, **more: str) -> dict[str, str]:
    given = {"RUNRELAY_URL": service.url, "RUNRELAY_TOKEN": TOKEN, "NAMESPACE": "e2e"}
    return environment({**given, "REDIS_URL": service.redis.connection_url, **more})


def did(service: Service, *arguments: str, input: str = "", **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=ROOT,
        env=settings(service, **more),
        input=input,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def piped(service: Service, *arguments: str) -> subprocess.Popen[bytes]:
    """A command that runs while the test does something else."""
    pipe = subprocess.PIPE
    return subprocess.Popen([*COMMAND, *arguments], cwd=ROOT, env=settings(service), stdout=pipe, stderr=pipe)


def good(service: Service, *arguments: str, input: str = "") -> str:
    done = did(service, *arguments, input=input)
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


def json_of(service: Service, *arguments: str) -> Any:
    return json.loads(good(service, *arguments, "--json"))


def json_lines(service: Service, *arguments: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in good(service, *arguments, "--json").splitlines()]


def state(http: httpx.Client, run_id: str) -> str:
    return str(http.get(f"/v1/runs/{run_id}").json()["state"])


def waiting_run(service: Service, http: httpx.Client) -> str:
    """The id of a run that is at work and stays silent."""
    play = service.play(say("So far. "), wait("on"))
    run_id = good(service, "run", "scripted", play.message, "--detach").strip()
    until(lambda: http.get(f"/v1/runs/{run_id}").json()["text"])
    return run_id


# --- run --------------------------------------------------------------------------------------------------------------


def test_an_agent_answers(service: Service) -> None:
    assert good(service, "run", "echo", "Hello\n\nthere 😀") == "Hello\n\nthere 😀\n"


@pytest.mark.parametrize("arguments", [("run", "echo", "-"), ("run", "echo")])
def test_what_to_say_may_be_piped_in(service: Service, arguments: tuple[str, ...]) -> None:
    assert good(service, *arguments, input="From a file\n") == "From a file\n"


def test_events_are_for_programs(service: Service) -> None:
    events = json_lines(service, "run", "echo", "Hi")
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert [event["stream"] for event in events] == ["lifecycle", "lifecycle", "assistant", "lifecycle"]


def test_a_session_remembers(service: Service) -> None:
    session = "agent:main:cli"
    good(service, "run", "main", "First", "--session", session)
    given = json.loads(good(service, "run", "main", "Second", "--session", session))
    assert [turn["content"] for turn in given["history"]][:1] == ["First"]


def test_text_comes_as_it_is_said(service: Service, http: httpx.Client) -> None:
    play = service.play(say("first "), wait("on"), say("second"))
    process = piped(service, "run", "scripted", play.message)
    assert process.stdout is not None
    assert os.read(process.stdout.fileno(), 100) == b"first "
    play.open("on")
    assert process.communicate(timeout=30) == (b"second\n", b"")
    assert process.returncode == 0


def test_ctrl_c_cancels_the_run(service: Service, http: httpx.Client) -> None:
    play = service.play(say("first "), wait("never"))
    process = piped(service, "run", "scripted", play.message)
    assert process.stdout is not None
    os.read(process.stdout.fileno(), 100)
    process.send_signal(signal.SIGINT)
    _, output = process.communicate(timeout=30)
    assert process.returncode == 130
    assert b"is cancelled" in output
    assert until(lambda: state(http, play.starts[0].run)) in ("running", "cancelled")
    until(lambda: state(http, play.starts[0].run) == "cancelled")


def test_a_run_that_fails_fails_the_command(service: Service) -> None:
    done = did(service, "run", "exits", "Hi")
    assert done.returncode == 1
    assert "agent_failed" in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_unknown_agent_is_told(service: Service) -> None:
    done = did(service, "run", "nobody", "Hi")
    assert (done.returncode, done.stdout) == (5, "")
    assert "nobody" in done.stderr


# --- runs -------------------------------------------------------------------------------------------------------------


def test_runs_are_found(service: Service) -> None:
    run_id = good(service, "run", "echo", "Hi", "--detach").strip()
    until(lambda: json_lines(service, "runs", "ls", "--id", run_id)[0]["state"] == "completed")
    assert run_id in good(service, "runs", "ls", "--agent", "echo", "--state", "completed", "--since", "1h")
    assert good(service, "runs", "ls", "--agent", "nobody").splitlines()[0].split()[:2] == ["ID", "STATE"]
    assert json_lines(service, "runs", "ls", "--agent", "nobody") == []
    assert len(json_lines(service, "runs", "ls", "-n", "1")) == 1


def test_a_list_in_a_pipe_has_whole_lines_and_no_colours(service: Service) -> None:
    session = "agent:echo:" + "x" * 150
    good(service, "run", "echo", "Hi", "--session", session)
    listed = good(service, "runs", "ls", "-n", "1")
    assert session in listed
    assert "\x1b" not in listed


@pytest.mark.parametrize(("more", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_a_terminal_has_colours_unless_nobody_wants_them(
    service: Service, more: dict[str, str], coloured: bool
) -> None:
    good(service, "run", "echo", "Hi")
    ours, theirs = pty.openpty()
    given = {**settings(service), "TERM": "xterm-256color", **more}
    subprocess.run([*COMMAND, "runs", "ls", "-n", "1"], cwd=ROOT, env=given, stdout=theirs, timeout=60, check=True)
    os.close(theirs)
    output = os.read(ours, 10_000).decode()
    os.close(ours)
    assert bool(re.search(r"\x1b\[3[0-9]m", output)) == coloured
    assert re.search(r"chatcmpl_[0-9a-f-]{36}", output)


def test_a_run_is_shown_with_what_it_wrote_to_stderr(service: Service) -> None:
    did(service, "run", "exits", "Hi")
    (row,) = json_lines(service, "runs", "ls", "--agent", "exits", "-n", "1")
    shown = good(service, "runs", "show", row["id"])
    for part in (row["id"], "failed", "start", "Hi", "agent_failed", "the password is in /etc/secret/file"):
        assert part in shown
    assert json_of(service, "runs", "show", row["id"])["error"]["code"] == "agent_failed"


def test_a_run_is_followed_cancelled_and_run_again(service: Service, http: httpx.Client) -> None:
    run_id = waiting_run(service, http)
    tail = subprocess.Popen(
        [*COMMAND, "runs", "tail", run_id],
        cwd=ROOT,
        env=settings(service),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert tail.stdout is not None
    assert os.read(tail.stdout.fileno(), 100) == b"So far. "
    assert run_id in good(service, "runs", "cancel", run_id)
    _, output = tail.communicate(timeout=30)
    assert (tail.returncode, b"cancelled (user)" in output) == (1, True)
    until(lambda: state(http, run_id) == "cancelled")
    again = good(service, "runs", "retry", run_id).split(" -> ")[1].strip()
    until(lambda: state(http, again) == "running")
    assert json_of(service, "runs", "cancel", again)["id"] == again
    until(lambda: state(http, again) == "cancelled")
    assert json_of(service, "runs", "rm", again) == {"id": again, "object": "run.deleted"}
    assert did(service, "runs", "show", again).returncode == 5


def test_an_id_may_be_shortened_as_long_as_it_is_one_runs(service: Service, http: httpx.Client) -> None:
    ids = [http.post("/v1/runs", json={"input": "Hi", "agent": "echo"}).json()["id"] for _ in range(17)]
    for short in (ids[0][:17], ids[0].removeprefix("chatcmpl_")[:8], ids[0]):
        assert json_lines(service, "runs", "show", short)[0]["id"] == ids[0]
    shared = next(one[9] for one in ids if sum(other[9] == one[9] for other in ids) > 1)  # of 17 ids two begin alike
    refused = did(service, "runs", "show", shared)
    assert refused.returncode != 0
    assert "begins several ids" in refused.stderr
    unknown = did(service, "runs", "show", "no-such-run")
    assert unknown.returncode != 0
    assert "no-such-run" in unknown.stderr


def test_a_pause_of_an_agent_that_no_worker_serves_says_so(service: Service) -> None:
    paused = did(service, "queue", "pause", "nosuch")
    assert paused.returncode == 0
    assert "No worker serves nosuch now" in paused.stderr
    assert "nosuch" in paused.stdout
    assert did(service, "queue", "resume", "nosuch").stderr == ""
    assert "nosuch was not paused" in did(service, "queue", "resume", "nosuch").stderr


def test_what_is_stuck_is_found_and_ended_by_one_command(service: Service, http: httpx.Client) -> None:
    run_id = waiting_run(service, http)
    arguments = ("runs", "cancel", "--session", json_of(service, "runs", "show", run_id)["session"], "--running-for")
    assert "No run that fits" in good(service, *arguments, "1h")
    assert state(http, run_id) == "running"
    assert run_id in good(service, *arguments, "0s")
    until(lambda: state(http, run_id) == "cancelled")


def test_a_run_at_work_is_neither_run_again_nor_deleted(service: Service, http: httpx.Client) -> None:
    run_id = waiting_run(service, http)
    for act in ("retry", "rm"):
        done = did(service, "runs", act, run_id)
        assert (done.returncode, "has not ended" in done.stderr) == (6, True)
    good(service, "runs", "cancel", run_id)


def test_all_that_failed_are_run_again_once(service: Service) -> None:
    did(service, "run", "exits", "Hi", "--session", "agent:exits:again")
    arguments = ("runs", "retry", "--failed", "--session", "agent:exits:again")
    assert "1 run again" in good(service, *arguments)
    until(lambda: len(json_lines(service, "runs", "ls", "--session", "agent:exits:again", "--state", "failed")) == 2)
    assert (
        len(json_of(service, *arguments)["data"]) == 1
    )  # the run that was made just now; the first one is not run again


def test_whoever_reads_only_the_beginning_ends_the_command(service: Service) -> None:
    for _ in range(3):
        good(service, "run", "echo", "Hi")
    line = " ".join([*COMMAND, "runs", "ls", "--json", "|", "head", "-1"])
    done = subprocess.run(
        ["/bin/bash", "-c", f"{line}; echo ${{PIPESTATUS[0]}}"],
        cwd=ROOT,
        env=settings(service),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] in ("0", "141")  # it may have ended before its reader


def test_a_pipe_that_is_closed_from_the_start_is_no_traceback(service: Service) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*COMMAND, "runs", "ls"], cwd=ROOT, env=settings(service), stdout=writer, stderr=subprocess.PIPE, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


# --- queue and workers ------------------------------------------------------------------------------------------------


def test_the_queue_is_paused_and_resumed(service: Service, http: httpx.Client) -> None:
    assert "by me" in good(service, "queue", "pause", "echo")
    run_id = good(service, "run", "echo", "Hi", "-d").strip()
    until(lambda: json_of(service, "queue", "stats")["held"] == 1)
    assert state(http, run_id) == "queued"
    assert "by me" not in good(service, "queue", "resume", "echo")
    until(lambda: state(http, run_id) == "completed")
    assert json_of(service, "queue", "pause")["paused"]["who"] == "me"
    assert json_of(service, "queue", "resume")["paused"] is None


def test_a_worker_is_drained_and_resumed(service: Service) -> None:
    def worker() -> Any:
        (seen,) = json_of(service, "workers", "ls")["workers"]
        return seen

    name = worker()["name"]
    assert name in good(service, "workers", "ls")
    assert good(service, "workers", "drain", name[-8:]) == f"{name}: told to drain\n"
    until(lambda: worker()["state"] == "drained")
    assert worker()["ordered"]
    json_of(service, "workers", "resume", name)
    until(lambda: worker()["state"] == "serving")
    assert did(service, "workers", "drain", "nobody").returncode == 5


def test_top_shows_it_all_once_into_a_pipe(service: Service) -> None:
    shown = good(service, "top")
    for part in (service.url, "running 0", "Valkey", "AGENT", "serving", "RUN"):
        assert part in shown
    assert json_of(service, "top").keys() == {"stats", "queue", "workers", "running", "waiting"}


def test_top_is_live_in_a_terminal_until_ctrl_c(service: Service) -> None:
    ours, theirs = pty.openpty()
    given = {**settings(service), "TERM": "xterm-256color", "COLUMNS": "200", "LINES": "40"}
    process = subprocess.Popen(
        [*COMMAND, "top", "--interval", "0.2"],
        cwd=ROOT,
        env=given,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    output = b""
    while output.count(b"running 0") < 3:
        output += os.read(ours, 65_536)
    process.send_signal(signal.SIGINT)
    try:
        while os.read(ours, 65_536):
            continue
    except OSError:  # Linux raises it when no process has the other end any more
        pass
    assert process.wait(30) == 0
    os.close(ours)


# --- doctor, tokens, completion ---------------------------------------------------------------------------------------


def test_the_doctor_finds_a_service_well(service: Service) -> None:
    until(lambda: did(service, "doctor").returncode == 0)
    found = json_of(service, "doctor")["findings"]
    assert {one["check"] for one in found} >= {"version", "eviction", "clock", "agents", "connections", "workers"}
    assert "bad" not in {one["level"] for one in found}


def test_the_doctor_says_what_to_do(service: Service) -> None:
    done = did(service, "doctor", NAMESPACE="nobody-lives-here")
    assert done.returncode == 1
    assert "python -m worker" in done.stdout


@pytest.mark.parametrize(("token", "expected"), [("wrong", "RUNRELAY_TOKEN"), ("", "RUNRELAY_TOKEN")])
def test_a_token_that_is_not_known_is_told(service: Service, token: str, expected: str) -> None:
    done = did(service, "runs", "ls", RUNRELAY_TOKEN=token)
    assert (done.returncode, done.stdout, expected in done.stderr) == (4, "", True)


def test_a_shell_can_complete_it(service: Service) -> None:
    given = {**settings(service), "_RUNRELAY_COMPLETE": "complete_bash", "COMP_WORDS": "runrelay ru", "COMP_CWORD": "1"}
    done = subprocess.run(COMMAND, cwd=ROOT, env=given, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.split() == ["run", "runs"]


def test_the_script_works_from_any_folder(service: Service, tmp_path: Path) -> None:
    """`make run` puts the script beside Python in .venv."""
    script = tmp_path / "runrelay"
    write_script(script, ROOT, Path(sys.executable))
    (tmp_path / "cli").mkdir()
    (tmp_path / "cli" / "__main__.py").write_text("raise SystemExit('the wrong one')")
    given = settings(service)
    done = subprocess.run([script, "queue", "stats"], cwd=tmp_path, env=given, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
