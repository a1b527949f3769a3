from __future__ import annotations

import pytest
from pydantic import JsonValue

from api.http.api_errors import ApiError
from api.http.json_value import JsonObject
from api.intake.model_options import ModelOptions
from api.runs.run_request import RunRequest, run_request
from shared.run.run import Turn
from shared.run.sessions import MAX_KEY


def request_of(**fields: JsonValue) -> RunRequest:
    return run_request({"input": "Hi", **fields})


def refused(**fields: JsonValue) -> tuple[int, JsonValue, JsonValue]:
    """Status, code and param."""
    with pytest.raises(ApiError) as failed:
        request = run_request(fields)
        request.resolved()
        _ = request.prompt
    return failed.value.status, failed.value.error["code"], failed.value.error.get("param")


def test_an_input_is_all_that_it_takes() -> None:
    request = request_of()
    assert (request.prompt.message, request.background) == ("Hi", True)
    session = request.resolved()
    assert (session.agent_id, session.stable) == ("main", False)


def test_a_conversation_is_read_as_in_chat_completions() -> None:
    messages: JsonValue = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "Bye"},
    ]
    prompt = run_request({"messages": messages}).prompt
    assert (prompt.message, prompt.extra_system_prompt) == ("Bye", "Be brief.")
    assert prompt.history == (Turn(role="user", content="Hi"), Turn(role="assistant", content="Hello"))


def test_tools_and_what_else_a_model_is_told() -> None:
    tool: JsonObject = {"type": "function", "function": {"name": "f"}}
    assert request_of(tools=[tool], params={"temperature": 0, "seed": None}).ask == ModelOptions(
        (tool,), {"temperature": 0}
    )
    assert request_of().ask == request_of(tools=None).ask == ModelOptions()


@pytest.mark.parametrize(
    ("fields", "param"),
    [({"tools": "x"}, "tools"), ({"tools": [1]}, "tools.0"), ({"params": {"temprature": 0}}, "params.temprature")],
)
def test_what_cannot_be_told_to_a_model_is_refused(fields: JsonObject, param: str) -> None:
    with pytest.raises(ApiError) as failed:
        _ = request_of(**fields).ask
    assert (failed.value.status, failed.value.error["param"]) == (400, param)


def test_agent_and_session_are_named() -> None:
    session = request_of(agent="Beta", session=" mine ").resolved()
    assert (session.agent_id, session.key, session.stable) == ("beta", "mine", True)


def test_a_session_key_can_name_the_agent() -> None:
    assert request_of(session="agent:beta:x").resolved().agent_id == "beta"


def test_without_readers_a_run_ends_only_when_that_is_asked_for() -> None:
    assert not request_of(background=False).background


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "input"),
        ({"input": "Hi", "messages": []}, "input"),
        ({"input": None}, "input"),
        ({"input": " \n"}, "input"),
        ({"input": 1}, "input"),
        ({"input": "Hi", "messages": "Hi"}, "messages"),
        ({"input": "Hi", "agent": ""}, "agent"),
        ({"input": "Hi", "agent": None}, "agent"),
        ({"input": "Hi", "session": 1}, "session"),
        ({"input": "Hi", "background": "true"}, "background"),
        ({"input": "Hi", "backgruond": True}, "backgruond"),
    ],
)
def test_what_is_wrong_is_named(fields: dict[str, JsonValue], param: str) -> None:
    assert refused(**fields) == (400, "invalid_value", param)


@pytest.mark.parametrize("messages", [[], [{"role": "system", "content": "Hi"}], [1]])
def test_a_request_needs_a_user_message(messages: JsonValue) -> None:
    with pytest.raises(ApiError, match="Missing user message in `messages`") as failed:
        _ = run_request({"messages": messages}).prompt
    assert failed.value.status == 400


@pytest.mark.parametrize(
    "fields", [{"session": "x" * (MAX_KEY + 1)}, {"session": "a\x00b"}, {"session": "agent:beta:x", "agent": "gamma"}]
)
def test_an_illegal_session_key_is_told(fields: dict[str, JsonValue]) -> None:
    assert refused(input="Hi", **fields) == (400, "illegal_session_key", None)
