"""Service and description agree: what the description allows is asked, and every answer is as the description says."""

from __future__ import annotations

import json
from typing import Any

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

from api.openapi.document import document
from tests.e2e.asking import authorised
from tests.e2e.service import Service

SCHEMA = schemathesis.openapi.from_dict(json.loads(document()))
OPERATIONS = [(path, method) for path, item in SCHEMA.raw_schema["paths"].items() for method in item]
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_every_answer_is_as_described(service: Service, path: str, method: str) -> None:
    cases = SCHEMA[path][method].as_strategy(generation_mode=GenerationMode.POSITIVE)

    @settings(max_examples=15, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(case=cases)
    def holds(case: Case[APIOperation[Any, Any, Any, Any]]) -> None:
        case.call_and_validate(base_url=service.url, headers=authorised(), checks=CHECKS)

    holds()
