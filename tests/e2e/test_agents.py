"""Which agent answers. One worker serves any id, and its agent answers with the id that it got."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import httpx
import pytest

from tests.e2e.asking import CHAT, asked, authorised, given
from tests.e2e.process import ROOT
from tests.e2e.service import Service, started


@pytest.fixture(scope="module")
def any_agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = {"AGENTS_FILE": str(ROOT / "tests/e2e/any_agent.toml")}
    with started(tmp_path_factory.mktemp("any_agent"), settings=settings) as service:
        yield service


@pytest.fixture(scope="module")
def any_http(any_agent: Service) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=any_agent.url, headers=authorised()) as http:
        yield http


def answering(http: httpx.Client, model: object, headers: Mapping[str, bytes] | None = None) -> object:
    """The id of the agent that answers."""
    raw = [(name.encode(), value) for name, value in (headers or {}).items()]
    return given(http.post(CHAT, json={**asked("Hi"), "model": model}, headers=raw))["agentId"]


@pytest.mark.parametrize(
    ("header", "agent"),
    [
        (b"beta", "beta"),
        (b"\xa0beta\xa0", "beta"),  # white space in JavaScript
        (b"Beta_2", "beta_2"),
        (b"0", "0"),
        (b"a" * 64, "a" * 64),
        (b"a" * 65, "a" * 64),
        (b"a" * 63 + b" b", "a" * 63),
        (b"My Agent!", "my-agent"),
        (b"a  !!  b", "a-b"),
        (b"--a--", "a"),
        (b"-", "main"),
        (b"!!!", "main"),
        (b"../../etc/passwd", "etc-passwd"),
        (b"*", "main"),
        (b"", "main"),
        (b"\xa0", "main"),
        (b"agent:beta", "agent-beta"),
        (b"caf\xe9", "caf"),
    ],
)
def test_a_header_names_the_agent(any_http: httpx.Client, header: bytes, agent: str) -> None:
    assert answering(any_http, "gpt-4o", {"x-clawdbot-agent-id": header}) == agent


@pytest.mark.parametrize(
    ("model", "agent"),
    [
        ("clawdbot:beta", "beta"),
        ("clawdbot/beta", "beta"),
        ("openclaw:beta", "beta"),
        ("openclaw/beta", "beta"),
        ("agent:beta", "beta"),
        ("CLAWDBOT:Beta", "beta"),
        ("Agent:B_1-x", "b_1-x"),
        ("agent/beta", "main"),
        ("clawdbot:", "main"),
        ("clawdbot", "main"),
        ("clawdbot:a b", "main"),
        ("clawdbot:-a", "main"),
        ("clawdbot:" + "a" * 65, "main"),
        ("clawdbot:beta:gamma", "main"),
        ("clawdbot:beta\n", "beta"),
        ("my-clawdbot:beta", "main"),
        ("clawdbot:\u212a", "main"),
        ("gpt-4o", "main"),
        ("*", "main"),
        ("", "main"),
        (None, "main"),
        (1, "main"),
        (["clawdbot:beta"], "main"),
    ],
)
def test_else_the_model_does(any_http: httpx.Client, model: object, agent: str) -> None:
    assert answering(any_http, model) == agent


def test_a_header_beats_the_model_and_the_first_header_the_others(any_http: httpx.Client) -> None:
    names = ["x-clawdbot-agent-id", "x-clawdbot-agent", "x-openclaw-agent-id", "x-agent-id"]
    headers = {name: f"by-{name}".encode() for name in names}
    for name in names:
        assert answering(any_http, "clawdbot:by-model", headers) == f"by-{name}"
        del headers[name]
    assert answering(any_http, "clawdbot:by-model", headers) == "by-model"


def test_a_blank_header_names_nobody(any_http: httpx.Client) -> None:
    blank = {"x-clawdbot-agent-id": b"\xa0"}
    assert answering(any_http, "gpt-4o", {**blank, "x-clawdbot-agent": b"beta"}) == "beta"
    assert answering(any_http, "clawdbot:gamma", blank) == "gamma"


def test_a_pattern_is_no_model(any_http: httpx.Client) -> None:
    assert any_http.get("/v1/models").json() == {"object": "list", "data": []}
    assert any_http.get("/v1/models/*").status_code == 404


# --- where only some ids are served -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("model", "answer"), [("echo", "Hi"), ("clawdbot:echo", "Hi")])
def test_a_model_that_is_exactly_a_served_id_means_it(http: httpx.Client, model: str, answer: str) -> None:
    body = http.post(CHAT, json={**asked("Hi"), "model": model}).json()
    assert body["choices"][0]["message"]["content"] == answer


@pytest.mark.parametrize("model", ["Echo", " echo", "echo ", "gpt-echo"])
def test_any_other_name_means_the_default_agent(http: httpx.Client, model: str) -> None:
    assert answering(http, model) == "main"


def test_an_agent_that_nobody_serves_is_a_clear_error(http: httpx.Client) -> None:
    for answer in (
        http.post(CHAT, json=asked("Hi", "nobody")),
        http.post(CHAT, json=asked("Hi", "echo"), headers={"x-agent-id": "nobody"}),
        http.post(CHAT, json=asked("Hi", "nobody", stream=True)),
    ):
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["param"]) == (404, "model_not_found", "model")
        assert "`nobody`" in error["message"]


def test_models_lists_what_live_workers_serve(http: httpx.Client) -> None:
    models = {model["id"]: model for model in http.get("/v1/models").json()["data"]}
    assert models["main"]["description"] == "Says what it was given"
    assert {model["object"] for model in models.values()} == {"model"}
    assert http.get("/v1/models/main").json() == models["main"]
