from __future__ import annotations

import pytest
from pydantic import JsonValue
from starlette.datastructures import Headers

from api.chat.chat_request import AGENT_HEADERS, SESSION_HEADERS, ChatRequest, chat_request
from api.http.api_errors import ApiError
from api.http.json_value import JsonObject
from api.intake.model_options import ModelOptions
from api.intake.prompt import Prompt
from shared.run.sessions import MAX_KEY, Session


def parsed(headers: dict[str, str] | None = None, **fields: JsonValue) -> ChatRequest:
    body: JsonObject = {"messages": [{"role": "user", "content": "Hi"}], **fields}
    return chat_request(body, Headers(headers or {}), served={"beta"})


def test_the_least_a_client_can_send() -> None:
    request = parsed()
    assert request == ChatRequest(
        model="clawdbot",
        stream=False,
        include_usage=False,
        prompt=Prompt("Hi"),
        ask=ModelOptions(),
        session=Session(request.session.key, "main", stable=False),
        idempotency_key=None,
        retry_count=0,
        rejoins=False,
        read_timeout=None,
    )


@pytest.mark.parametrize(
    ("model", "echo"), [("gpt-4o", "gpt-4o"), ("", ""), (" x\n", " x\n"), (None, "clawdbot"), (4, "clawdbot")]
)
def test_the_model_is_echoed(model: JsonValue, echo: str) -> None:
    assert parsed(model=model).model == echo


@pytest.mark.parametrize(("stream", "streams"), [(True, True), ("false", True), ([], True), (0, False)])
def test_stream_by_the_truth_of_javascript(stream: JsonValue, streams: bool) -> None:
    assert parsed(stream=stream).stream is streams


@pytest.mark.parametrize(
    ("options", "included"),
    [
        ({"include_usage": True}, True),
        ({"include_usage": False}, False),
        ({"include_usage": 1}, False),
        ({}, False),
        (True, False),
        (None, False),
    ],
)
def test_usage_is_included_when_asked_for(options: JsonValue, included: bool) -> None:
    assert parsed(stream_options=options).include_usage is included


@pytest.mark.parametrize("name", AGENT_HEADERS)
def test_a_header_names_the_agent(name: str) -> None:
    assert parsed({name.title(): " Gamma "}, model="beta").session.agent_id == "gamma"


def test_the_first_header_that_says_something_counts() -> None:
    first, second, third, _ = AGENT_HEADERS
    assert parsed({third: "c", second: "b", first: " "}).session.agent_id == "b"


def test_a_model_names_the_agent() -> None:
    assert parsed(model="beta").session.agent_id == "beta"
    assert parsed(model="clawdbot:gamma").session.agent_id == "gamma"


@pytest.mark.parametrize("name", SESSION_HEADERS)
def test_a_header_names_the_session(name: str) -> None:
    session = parsed({name: " agent:gamma:x "}, user="zoe").session
    assert session == Session("agent:gamma:x", "gamma", stable=True)


def test_a_user_has_a_session() -> None:
    assert parsed(user="zoe", model="beta").session.key == "agent:beta:openai-user:zoe"


@pytest.mark.parametrize("user", [None, 1, "", [], {"id": "zoe"}])
def test_a_user_of_another_type_is_none(user: JsonValue) -> None:
    assert not parsed(user=user).session.stable


@pytest.mark.parametrize(
    ("headers", "fields"),
    [
        ({"x-session-key": "x" * (MAX_KEY + 1)}, {}),
        ({"x-session-key": "a\x85b"}, {}),
        ({}, {"user": "a\x00b"}),
        ({"x-session-key": "agent:gamma:x", "x-agent-id": "beta"}, {}),
        ({"x-session-key": "agent:gamma:x"}, {"model": "beta"}),
    ],
)
def test_an_illegal_session_key_is_a_400(headers: dict[str, str], fields: dict[str, JsonValue]) -> None:
    with pytest.raises(ApiError) as failed:
        parsed(headers, **fields)
    assert (failed.value.status, failed.value.error["code"]) == (400, "illegal_session_key")


def test_a_missing_message_is_told_before_an_illegal_session_key() -> None:
    with pytest.raises(ApiError, match="Missing user message"):
        parsed({"x-session-key": "x" * 300}, messages=[])


@pytest.mark.parametrize(("header", "key"), [(" k 1 ", "k 1"), ("", None), (" ", None)])
def test_the_idempotency_key(header: str, key: str | None) -> None:
    assert parsed({"Idempotency-Key": header}).idempotency_key == key


@pytest.mark.parametrize(
    ("header", "count"), [("0", 0), ("2", 2), ("", 0), ("-1", 0), ("1.5", 0), ("²", 0), ("9" * 5000, 0)]
)
def test_the_retry_count(header: str, count: int) -> None:
    assert parsed({"x-stainless-retry-count": header}).retry_count == count


@pytest.mark.parametrize(
    "headers", [{"Idempotency-Key": "k"}, {"x-stainless-retry-count": "0"}, {"x-stainless-retry-count": "1"}]
)
def test_another_try_is_known_of_clients_that_count_or_have_a_key(headers: dict[str, str]) -> None:
    assert parsed(headers).rejoins


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("600", 600), ("0.5", 0.5), ("", None), ("0", None), ("-1", None), ("None", None), ("inf", None), ("1e3", None)],
)
def test_how_long_the_client_waits(header: str, seconds: float | None) -> None:
    assert parsed({"x-stainless-read-timeout": header}).read_timeout == seconds
