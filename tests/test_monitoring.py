"""docs/monitoring.md lists every metric, and no metric that does not exist."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from shared.observe.logging import session_digest
from tests.measured import Measured, measured_by_api, measured_by_worker

DOCS = Path("docs/monitoring.md").read_text()
API, WORKER = measured_by_api(), measured_by_worker()


def row(one: Measured) -> str:
    where = [name for name, known in (("web", API), ("worker", WORKER)) if one.name in known]
    labels = ", ".join(f"`{label}`" for label in one.labels)
    return f"| `{one.name}` | {one.kind} | {labels} | {', '.join(where)} | {one.help} |"


def test_every_metric_has_its_row() -> None:
    rows = [row(one) for one in ({**API, **WORKER}).values()]
    assert [line for line in rows if line not in DOCS] == []


def test_no_row_is_of_a_metric_that_is_not_there() -> None:
    assert set(re.findall(r"^\| `(runrelay_\w+)`", DOCS, re.MULTILINE)) == API.keys() | WORKER.keys()


def test_what_both_measure_means_the_same() -> None:
    assert [API[name] for name in API.keys() & WORKER.keys()] == [WORKER[name] for name in API.keys() & WORKER.keys()]


def test_no_label_can_have_a_value_for_each_run() -> None:
    allowed = {"agent", "loop", "state", "code", "kind", "version", "method", "route", "status"}
    assert {label for one in ({**API, **WORKER}).values() for label in one.labels} <= allowed


@pytest.mark.slow
def test_the_digest_of_a_session_is_made_as_is_told() -> None:
    command = "printf %s 'agent:main:openai-user:ann' | sha256sum | cut -c1-12"
    assert f"`{command}`" in DOCS
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == session_digest("agent:main:openai-user:ann")
