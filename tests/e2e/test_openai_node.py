"""The official Node client, unchanged, against the running service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.e2e.node_client import called
from tests.e2e.play import fail, say, usage, wait
from tests.e2e.service import Service

SCRIPTED = "clawdbot:scripted"


def params(message: str, model: str = SCRIPTED, **fields: object) -> dict[str, object]:
    return {"model": model, "messages": [{"role": "user", "content": message}], **fields}


def content_of(completion: Mapping[str, Any]) -> object:
    return completion["choices"][0]["message"]["content"]


def delta(chunk: Mapping[str, Any]) -> str:
    return str(chunk["choices"][0]["delta"].get("content", ""))


def test_a_whole_answer(service: Service) -> None:
    play = service.play(say("Hel"), say("lo"), usage(3, 4))
    outcome = called(service, "whole", params(play.message))
    assert content_of(outcome["result"]) == "Hello"
    assert outcome["result"]["usage"] == {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


def test_a_stream(service: Service) -> None:
    play = service.play(say("Hel"), say("lo"))
    chunks = called(service, "stream", params(play.message))["received"]
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant"}
    assert "".join(map(delta, chunks)) == "Hello"
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks[-2:]] == [None, "stop"]


def test_usage_comes_last(service: Service) -> None:
    play = service.play(say("Hello"), usage(3, 4))
    request = params(play.message, stream_options={"include_usage": True})
    *chunks, last = called(service, "stream", request)["received"]
    assert (last["choices"], last["usage"]["total_tokens"]) == ([], 7)
    assert {chunk["usage"] for chunk in chunks} == {None}


def test_the_stream_helper(service: Service) -> None:
    play = service.play(say("Hel"), say("lo"))
    outcome = called(service, "helper", params(play.message))
    assert "".join(outcome["received"]) == content_of(outcome["result"]) == "Hello"


def test_a_wrong_key(service: Service) -> None:
    outcome = called(service, "whole", params("Hi"), key="wrong")
    assert (outcome["error"]["name"], outcome["error"]["status"]) == ("AuthenticationError", 401)
    assert outcome["posts"] == 1


@pytest.mark.parametrize("call", ["stream", "helper"])
def test_an_error_in_mid_stream_is_thrown_with_its_code(service: Service, call: str) -> None:
    play = service.play(say("half an ans"), fail("out of ideas"))
    outcome = called(service, call, params(play.message))
    assert (outcome["error"]["name"], outcome["error"]["code"]) == ("APIError", "agent_failed")
    assert "out of ideas" in outcome["error"]["message"]
    assert len(play.starts) == 1


def test_a_failed_run_is_not_posted_again(service: Service) -> None:
    play = service.play(fail("out of ideas"))
    outcome = called(service, "whole", params(play.message))
    error = outcome["error"]
    assert (error["name"], error["status"], error["code"]) == ("InternalServerError", 500, "agent_failed")
    assert (outcome["posts"], len(play.starts)) == (1, 1)


def test_the_errors_of_requests(service: Service) -> None:
    outcome = called(service, "whole", params("Hi", "clawdbot:nobody"))
    assert (outcome["error"]["name"], outcome["error"]["code"]) == ("NotFoundError", "model_not_found")
    outcome = called(service, "whole", {"model": "gpt-4o", "messages": []})
    assert outcome["error"]["name"] == "BadRequestError"
    assert "Missing user message" in outcome["error"]["message"]


def test_models(service: Service) -> None:
    assert {"main", "echo", "scripted"} <= set(called(service, "models")["received"])
    assert called(service, "model", "echo")["result"]["id"] == "echo"


def test_headers(service: Service) -> None:
    outcome = called(service, "raw", params("Hi", "gpt-4o"), headers={"x-clawdbot-agent-id": "echo"})
    assert outcome["result"]["headers"]["x-run-id"] == outcome["result"]["id"]


def test_a_key_replays_the_run_and_refuses_another_body(service: Service) -> None:
    play = service.play(say("once"))
    headers = {"Idempotency-Key": "node"}
    first = called(service, "whole", params(play.message), headers=headers)
    again = called(service, "stream", params(play.message), headers=headers)
    assert "".join(map(delta, again["received"])) == content_of(first["result"]) == "once"
    other = called(service, "whole", params("Hi"), headers=headers)
    assert (other["error"]["name"], other["posts"]) == ("ConflictError", 1)
    assert len(play.starts) == 1


def test_a_client_whose_patience_ends_gets_the_answer_of_its_first_post(service: Service) -> None:
    play = service.play(wait("retry"), say("at last"))
    opens = str(play.gate("retry"))
    outcome = called(service, "whole", params(play.message), retry_opens=opens, timeout=1_000, maxRetries=9)  # ms
    assert content_of(outcome["result"]) == "at last"
    assert outcome["posts"] >= 2
    assert len(play.starts) == 1
