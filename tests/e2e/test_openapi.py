"""Service and description agree: what the description allows is asked, and every answer is as the description says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.api.described import described
from tests.e2e.asking import asked, authorised
from tests.e2e.play import wait
from tests.e2e.service import ALICE, OLGA, Service, started

SCHEMA = schemathesis.openapi.from_dict(json.loads(described()))
OPERATIONS = [(path, method) for path, item in SCHEMA.raw_schema["paths"].items() for method in item]
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def operated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One whose queue may be paused, and with runs to look at: one that has ended, and one that never will."""
    with started(tmp_path_factory.mktemp("operated"), settings={"DRAIN_SECONDS": "1"}) as service:
        play = service.play(wait("never"))
        with httpx.Client(base_url=service.url, headers=authorised(), timeout=30) as http:
            http.post("/v1/chat/completions", json=asked("Hi", "echo")).raise_for_status()
            http.post("/v1/runs", json={"agent": "scripted", "input": play.message}).raise_for_status()
        yield service


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_every_answer_is_as_described(service: Service, path: str, method: str) -> None:
    """Those who only make runs are told that they may not operate the service."""
    holds(service, path, method, ALICE)


@pytest.mark.parametrize(("path", "method"), [one for one in OPERATIONS if one[0].startswith("/v1/admin")])
def test_so_is_every_answer_to_an_operator(operated: Service, path: str, method: str) -> None:
    """Of what is there, and of what is not."""
    holds(operated, path, method, OLGA)
    with httpx.Client(base_url=operated.url, headers=authorised(OLGA), timeout=30) as http:
        runs = http.get("/v1/admin/runs").json()["data"]
    (worker,) = operated.announced()
    streams = path.endswith("/events")  # of a run that never ends, such an answer never ends
    for run in runs if not streams else [run for run in runs if run["ended_ms"]]:
        holds(operated, path, method, OLGA, run_id=run["id"], worker=worker.worker)


def holds(service: Service, path: str, method: str, token: str, **names: str) -> None:
    cases = SCHEMA[path][method].as_strategy(generation_mode=GenerationMode.POSITIVE)

    @settings(
        max_examples=5 if names else 15,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases)
    def answer_is_as_described(case: Case[APIOperation[Any, Any, Any, Any]]) -> None:
        case.path_parameters |= {name: value for name, value in names.items() if f"{{{name}}}" in path}
        case.call_and_validate(base_url=service.url, headers=authorised(token), checks=CHECKS)

    answer_is_as_described()
