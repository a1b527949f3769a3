from __future__ import annotations

import json
import subprocess
import sys

import pytest

PROGRAM = """
import logging, sys
import structlog
from shared.logs import configure_logs

def fails(token):
    raise ValueError("boom")

def caught(log):
    try:
        fails(sys.argv[2])
    except ValueError:
        log("it failed")

configure_logs(sys.argv[1], role="web")
caught(structlog.get_logger().exception)
caught(logging.getLogger("uvicorn.error").exception)
"""


SECRET = "s3cret"


def said(form: str) -> str:
    """What a process logs about two exceptions, its own and a library's."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, form, SECRET], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    return done.stderr


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_traceback_is_logged_without_local_variables(form: str) -> None:
    log = said(form)
    assert log.count("ValueError: boom") == 2
    assert log.count("in fails") == 2
    assert SECRET not in log


def test_each_event_is_one_line_of_json_with_the_facts_of_its_process() -> None:
    events = [json.loads(line) for line in said("json").splitlines()]
    assert [(event["event"], event["level"], event["role"]) for event in events] == [("it failed", "error", "web")] * 2
    assert all(event["exception"].startswith("Traceback") for event in events)
