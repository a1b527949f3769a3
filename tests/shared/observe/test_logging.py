from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from shared.observe.logging import session_digest

pytestmark = pytest.mark.slow

PROGRAM = """
import asyncio, logging, sys
import structlog
from shared.observe.logging import bind_run, configure_logging, end_fields, log_errors_of
from shared.run.run import End, Run
from shared.run.states import State

def fails(token):
    raise ValueError("words")

def caught(log):
    try:
        fails(sys.argv[3])
    except ValueError:
        log("it failed")

async def leaves_a_task_behind():
    log_errors_of(asyncio.get_running_loop())
    async def stray():
        fails(sys.argv[3])
    task = asyncio.create_task(stray())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    del task

configure_logging(sys.argv[1], content=sys.argv[2] == "1", role="web")
log = structlog.get_logger()
caught(log.exception)
caught(logging.getLogger("uvicorn.error").exception)
asyncio.run(leaves_a_task_behind())
run = Run(run_id="r1", agent_id="main", session_key="agent:main:openai-user:ann@example.com", owner="alice", model="m",
          message="words", created_ms=0)
bind_run(run, 2)
log.info("run.accepted", prompt=run.message)
end = End(state=State.FAILED, code="agent_failed", text="words\\nof more lines", detail="words")
log.info("run.ended", **end_fields(end))
"""

SECRET = "s3cret"
KEY = "agent:main:openai-user:ann@example.com"


def said(form: str, *, content: bool = False) -> str:
    """The log of a process that logs exceptions, its own and a library's, and a run."""
    arguments = [sys.executable, "-c", PROGRAM, form, "1" if content else "0", SECRET]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert done.stdout == ""
    return done.stderr


@pytest.mark.parametrize("content", [False, True])
@pytest.mark.parametrize("form", ["text", "json"])
def test_a_traceback_is_logged_without_local_variables(form: str, content: bool) -> None:
    log = said(form, content=content)
    assert log.count("in fails") == 3
    assert log.count("ValueError: ") == 3
    assert SECRET not in log


@pytest.mark.parametrize("form", ["text", "json"])
def test_what_was_said_is_logged_only_when_that_is_wanted(form: str) -> None:
    """That includes the messages of exceptions, and asyncio's lines about tasks that no other task awaits."""
    source = '("words")' if form == "text" else r"(\"words\")"  # a traceback shows the line that raised
    assert "words" not in said(form).replace(source, "")
    wanted = said(form, content=True)
    assert wanted.count("ValueError: words") == 3
    assert wanted.count("words") > 5


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_session_is_known_by_a_digest(form: str) -> None:
    assert KEY not in said(form)
    assert session_digest(KEY) in said(form)
    assert KEY in said(form, content=True)


def test_a_line_in_text_stays_one_line_whatever_was_said() -> None:
    lines = said("text", content=True).splitlines()
    assert [line for line in lines if "of more lines" in line] == [line for line in lines if "run.ended" in line]


def test_a_line_in_text_says_when_how_grave_and_what_then_the_facts_by_name() -> None:
    when, _, rest = said("text", content=True).splitlines()[-1].partition(" ")
    assert datetime.fromisoformat(when).tzinfo is UTC
    level, event, facts = rest[:11], rest[12:42].rstrip(), rest[43:]
    assert (level, event) == ("[info     ]", "run.ended")
    assert facts == (
        "agent=main answer='words\\nof more lines' attempt=2 code=agent_failed detail=words role=web run=r1"
        f" session={KEY} state=failed"
    )


def test_each_event_is_one_line_of_json_with_the_facts_of_its_process() -> None:
    events = [json.loads(line) for line in said("json").splitlines()]
    assert [event["event"] for event in events] == ["it failed", "it failed", "loop.error", "run.accepted", "run.ended"]
    assert {event["role"] for event in events} == {"web"}
    assert all(event["exception"].startswith("Traceback") for event in events[:3])


def test_every_line_about_a_run_says_which() -> None:
    accepted, ended = (json.loads(line) for line in said("json").splitlines()[-2:])
    known = {"run": "r1", "session": session_digest(KEY), "agent": "main", "attempt": 2}
    assert accepted.items() >= {**known, "prompt_chars": 5}.items()
    assert ended.items() >= {**known, "state": "failed", "code": "agent_failed", "detail_chars": 5}.items()
