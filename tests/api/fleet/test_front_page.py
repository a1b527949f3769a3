from __future__ import annotations

import httpx
import pytest
from starlette.applications import Starlette

from api.fleet.front_page import Front
from api.http.endpoint import routes_of


@pytest.fixture
def client() -> httpx.AsyncClient:
    app = Starlette(routes=routes_of(Front()))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here")


async def test_a_program_learns_where_to_look(client: httpx.AsyncClient) -> None:
    answer = await client.get("/")
    assert answer.json() == {
        "service": "runrelay",
        "models": "/v1/models",
        "openapi": "/openapi.json",
        "monitor": "/monitor",
    }


async def test_a_browser_is_sent_to_the_monitor(client: httpx.AsyncClient) -> None:
    answer = await client.get("/", headers={"Accept": "text/html,application/xhtml+xml"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/monitor")
