from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator, validate
from starlette.routing import Route

from api.chat.chat_schema import Completion, ModelList
from api.fleet.health import Readiness
from api.http.api_errors import invalid_value
from api.http.error_schema import ErrorAnswer
from api.monitor.login import PATH
from shared.run.states import State
from tests.api.described import described
from tests.api.running import Api
from tests.api.stage import Stage

DOCUMENT: dict[str, Any] = json.loads(described())


def test_it_is_an_openapi_document() -> None:
    validate(DOCUMENT, cls=OpenAPIV31SpecValidator)
    assert DOCUMENT["openapi"].startswith("3.1.")


async def test_every_route_is_in_it_and_nothing_else(api: Api) -> None:
    """Pages of the monitor are not in it."""
    routes = {
        (route.path, method)
        for route in api.application.app.routes
        if isinstance(route, Route) and not route.path.startswith(PATH)
        for method in (route.methods or set()) - {"HEAD"}
    }
    assert {(path, method.upper()) for path, item in DOCUMENT["paths"].items() for method in item} == routes


async def test_it_requires_no_credential(api: Api) -> None:
    async with httpx.AsyncClient(base_url=api.url) as stranger:
        response = await stranger.get("/openapi.json")
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json; charset=utf-8")
    assert response.json() == DOCUMENT


def test_every_reference_leads_somewhere() -> None:
    """The validator does not follow unused references."""
    names = {line.split('"')[0] for line in described().decode().split('"$ref":"#/components/')[1:]}
    assert names
    for kind, name in (name.split("/") for name in names):
        assert name in DOCUMENT["components"][kind]


def test_every_operation_but_the_open_ones_says_how_it_fails() -> None:
    for path, item in DOCUMENT["paths"].items():
        for operation in item.values():
            assert (operation.get("security") == []) == (path in ("/", "/healthz", "/readyz", "/openapi.json"))
            assert operation.get("security") == [] or {"401", "503"} <= set(operation["responses"])


def test_names_are_written_as_the_api_writes_them() -> None:
    """Our values have other names in Redis than in responses."""
    schemas = DOCUMENT["components"]["schemas"]
    assert "prompt_tokens" in schemas["Tokens"]["properties"]
    assert set(schemas["State"]["enum"]) == set(State)


def test_an_error_has_the_shape_that_is_described() -> None:
    strict = ErrorAnswer.model_validate_json(invalid_value("after", "no").body, strict=True, extra="forbid")
    assert (strict.error.code, strict.error.param) == ("invalid_value", "after")


@pytest.mark.parametrize(("path", "shape"), [("/v1/models", ModelList), ("/readyz", Readiness)])
async def test_answers_have_the_shape_that_is_described(
    alice: httpx.AsyncClient, path: str, shape: type[ModelList | Readiness]
) -> None:
    shape.model_validate_json((await alice.get(path)).content, strict=True, extra="forbid")


async def test_a_completion_has_the_shape_that_is_described(alice: httpx.AsyncClient, stage: Stage) -> None:
    run_id = (await alice.post("/v1/runs", json={"input": "Hi"})).json()["id"]
    await (await stage.take("Hello")).end()
    answer = await alice.get(f"/v1/chat/completions/{run_id}")
    Completion.model_validate_json(answer.content, strict=True, extra="forbid")
