"""The scopes that each route requires. The tests of each file test what its routes do."""

from __future__ import annotations

import json

import httpx
import pytest

from tests.api.described import described
from tests.api.running import Api, problem

DESCRIBED = {
    (method.upper(), path.format(run_id="chatcmpl_1", worker="w1")): operation
    for path, item in json.loads(described())["paths"].items()
    for method, operation in item.items()
    if path.startswith("/v1/admin")
}
OPERATIONS = [*DESCRIBED]
LOOKS = [operation for operation in OPERATIONS if operation[0] == "GET"]
ACTS = [operation for operation in OPERATIONS if operation[0] != "GET"]


def test_there_are_looks_and_acts() -> None:
    """That the document has every route is tested beside it."""
    assert {("GET", "/v1/admin/runs"), ("GET", "/v1/admin/queue")} <= {*LOOKS}
    assert {("DELETE", "/v1/admin/runs/chatcmpl_1"), ("POST", "/v1/admin/queue/pause")} <= {*ACTS}


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
async def test_a_client_may_neither_look_nor_act(alice: httpx.AsyncClient, method: str, path: str) -> None:
    answer = await alice.request(method, path)
    assert problem(answer)[:2] == (403, "scope_missing")
    scope = f"the scope `{'monitor' if method == 'GET' else 'operate'}`"
    assert scope in answer.json()["error"]["message"]
    assert DESCRIBED[method, path]["description"] == f"Needs {scope}."


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
async def test_nobody_else_gets_in(api: Api, method: str, path: str) -> None:
    async with httpx.AsyncClient(base_url=api.url) as stranger:
        assert (await stranger.request(method, path)).status_code == 401


@pytest.mark.parametrize(("method", "path"), ACTS)
async def test_who_may_look_may_not_act(mona: httpx.AsyncClient, method: str, path: str) -> None:
    assert problem(await mona.request(method, path))[:2] == (403, "scope_missing")


@pytest.mark.parametrize(("method", "path"), LOOKS)
async def test_who_may_act_may_look(olga: httpx.AsyncClient, method: str, path: str) -> None:
    assert (await olga.request(method, path)).status_code in (200, 404)


@pytest.mark.parametrize("path", ["/v1/runs", "/v1/models"])
async def test_an_operator_is_no_client(olga: httpx.AsyncClient, path: str) -> None:
    answer = await olga.get(path)
    assert problem(answer)[:2] == (403, "scope_missing")
    assert "scope `api`" in answer.json()["error"]["message"]
