"""However a session ends, no process of it is left, and its last line is the reason."""

from __future__ import annotations

import signal
from pathlib import Path

import httpx
import pytest

from tests.e2e.waiting import until
from tests.local.conftest import Start
from tests.local.session import Session, runs, stand_in

ENDED = "runrelay: stopped, because one of its processes ended; its last lines are above\n"


def last_line(session: Session) -> str:
    return session.output.splitlines(keepends=True)[-1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_request_to_stop_stops_everything(start: Start, number: signal.Signals) -> None:
    session = start().ready()
    session.send(number)
    assert session.exit_code() == 0
    assert session.left_over() == []
    assert last_line(session) == "runrelay: stopped\n"


def test_ctrl_c_before_it_is_ready(start: Start) -> None:
    session = start()
    until(lambda: "worker started" in session.output)
    session.press_ctrl_c()
    assert session.exit_code() == 0
    assert session.left_over() == []
    assert "Traceback" not in session.output


def test_a_worker_that_is_asked_to_stop_finds_redis_still_there(start: Start) -> None:
    session = start(stand_in("handing_back", "web_waiting_for_agent")).ready()
    session.press_ctrl_c()
    assert session.exit_code() == 0
    assert "handed back: True" in session.output


def test_a_worker_that_ignores_the_request_is_killed(start: Start) -> None:
    session = start(stand_in("stubborn")).ready()
    session.send(signal.SIGTERM)
    assert session.exit_code() == 0
    assert session.left_over() == []


def test_a_second_request_does_not_wait_for_it(start: Start) -> None:
    session = start(stand_in("stubborn")).ready()
    session.send(signal.SIGTERM)
    until(lambda: "sending SIGTERM to worker" in session.output)
    session.send(signal.SIGINT)
    assert session.exit_code() == 0
    assert session.left_over() == []
    assert "SIGKILL" not in session.output, "it waited PATIENCE_SECONDS"


@pytest.mark.parametrize("name", ["web", "worker"])
def test_a_process_that_ends_stops_everything(start: Start, name: str) -> None:
    session = start().ready()
    session.process(f"stand_in.py {name}").kill()
    assert session.exit_code() == 1
    assert session.left_over() == []
    assert last_line(session) == ENDED


def test_the_reason_that_a_process_prints_is_shown(start: Start) -> None:
    session = start("web: python -c 'import sys; sys.exit(\"WORKER_CONCURRENCY=0: too few\")'\n")
    assert session.exit_code() == 1
    assert session.output.count("WORKER_CONCURRENCY=0: too few") == 1
    assert last_line(session) == ENDED


@pytest.mark.parametrize("worker", ["with_agent", "with_offspring"])
def test_what_a_killed_worker_leaves_behind_is_ended_too(start: Start, worker: str) -> None:
    """The offspring has a process group of its own, and holds the worker's output open."""
    session = start(stand_in(worker, "web_waiting_for_agent")).ready()
    session.process(f"stand_in.py {worker}").kill()
    assert session.exit_code() == 1
    assert session.left_over() == []
    assert last_line(session) == ENDED


def test_without_its_guardian_it_stops_as_ever(start: Start) -> None:
    session = start().ready()
    (guardian,) = [seen for seen in session.look() if runs(seen) and "worker.guardian" in seen.cmdline()]
    guardian.kill()
    session.press_ctrl_c()
    assert session.exit_code() == 0
    assert session.left_over() == []
    assert "Traceback" not in session.output


def test_valkey_killed(start: Start) -> None:
    session = start().ready()
    session.valkey().kill()
    assert session.exit_code() == 1
    assert session.left_over() == []
    assert last_line(session) == (
        "runrelay: stopped, because the embedded Redis ended; its log: .runrelay/valkey/valkey.log\n"
    )


def test_a_valkey_that_does_not_answer_is_killed(start: Start) -> None:
    session = start().ready()
    session.valkey().suspend()
    session.send(signal.SIGTERM)
    assert session.exit_code() == 0
    assert session.left_over() == []


def test_killed_outright_it_takes_its_processes_along_and_the_next_start_its_valkey(start: Start, folder: Path) -> None:
    killed = start().ready()
    killed.send(signal.SIGKILL)
    valkey = killed.valkey()
    until(lambda: killed.left_over() == [valkey])
    start().ready()
    assert killed.left_over() == []


def test_a_redis_of_the_user_is_used_and_none_is_embedded(start: Start, folder: Path) -> None:
    session = start(REDIS_URL="redis://elsewhere").ready()
    assert httpx.get(session.url).json()["REDIS_URL"] == "redis://elsewhere"
    assert not (folder / ".runrelay/valkey").exists()
