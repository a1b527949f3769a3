from __future__ import annotations

import json

import pytest
from openai import AsyncOpenAI
from pydantic import JsonValue
from starlette.responses import Response

from shared.run.errors import ErrorCode, RunError
from tests.worker.agents.upstream import chunk, events, refusal, upstream
from worker.agents.model_refusal import (
    FAILED,
    FILTERED,
    LIMITED,
    NO_CREDENTIALS,
    NO_FORMAT,
    NO_MODEL,
    NO_TIME,
    TOO_LONG,
    UNREACHABLE,
    Refusal,
)
from worker.agents.openai.upstream_errors import upstream_errors

KEY = "sk-very-secret"


async def failure(answer: Response) -> RunError:
    """The run's error for a response that makes the official client raise an error."""
    async with upstream(answer) as up, AsyncOpenAI(api_key=KEY, base_url=up.url, max_retries=0) as client:
        with pytest.raises(RunError) as failed, upstream_errors(KEY, answering=False):
            async with await client.chat.completions.create(model="m", messages=[], stream=True) as stream:
                [chunk async for chunk in stream]
    assert KEY not in failed.value.message + failed.value.detail
    return failed.value


WRONG = Refusal(ErrorCode.INVALID_REQUEST, "The model's server refused the request: no")


def refused_with(status: int) -> Refusal:
    return Refusal(ErrorCode.UPSTREAM_ERROR, f"The model's server answered with status {status}.")


@pytest.mark.parametrize(
    ("status", "message", "code", "expected"),
    [
        (401, f"Incorrect API key: {KEY}", "invalid_api_key", NO_CREDENTIALS),
        (403, "no", "", NO_CREDENTIALS),
        (404, "no", "model_not_found", NO_MODEL),
        (404, "no", "", NO_MODEL),
        (400, "no", "model_not_found", NO_MODEL),
        (408, "slow", "", NO_TIME),
        (504, "slow", "", NO_TIME),
        (429, "slow down", "rate_limit_exceeded", LIMITED),
        (429, "pay", "insufficient_quota", LIMITED),
        (402, "pay", "insufficient_quota", LIMITED),
        (413, "no", "", TOO_LONG),
        (400, "too long", "context_length_exceeded", TOO_LONG),
        (400, "This model's maximum context length is 8 tokens", "", TOO_LONG),
        (400, "The response was filtered", "content_filter", FILTERED),
        (400, "Your request was rejected", "content_policy_violation", FILTERED),
        (409, "no", "", refused_with(409)),
        (500, "no", "", refused_with(500)),
        (503, "no", "", refused_with(503)),
    ],
)
async def test_what_the_server_refuses_is_told_in_our_words(
    status: int, message: str, code: str, expected: Refusal
) -> None:
    failed = await failure(refusal(status, message, code))
    assert (failed.code, failed.message) == (expected.code, expected.message)
    assert failed.detail == message.replace(KEY, "***")


@pytest.mark.parametrize("status", [400, 422])
async def test_a_request_that_is_wrong_is_told_in_the_servers_words(status: int) -> None:
    """The client's request is wrong, so the client has to know why: here it is its `temperature`."""
    words = f"temperature must be at most 2,\n  see http://10.0.0.1/doc or /srv/model/limits, key {KEY}"
    failed = await failure(refusal(status, words))
    assert failed.code is ErrorCode.INVALID_REQUEST
    shown = "The model's server refused the request: temperature must be at most 2, see … or …, key ***"
    assert failed.message == shown
    assert "10.0.0.1" in failed.detail


async def test_the_servers_words_are_bounded() -> None:
    failed = await failure(refusal(400, "no " * 10_000))
    assert len(failed.message) < 500
    assert len(failed.detail) == 2_000


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('{"detail": "no such field"}', "no such field"),
        ('{"object": "error", "message": "no such field"}', "no such field"),
        ('{"error": {"message": "half \\ud800"}}', "half \ufffd"),
        ('{"error": "no such field"}', "no such field"),
        ('{"detail": [{"loc": ["body", "n"]}]}', "{'detail': [{'loc': ['body', 'n']}]}"),
        ("", "Error code: 400"),
        ("<html>no</html>", "<html>no</html>"),
    ],
)
async def test_each_servers_own_way_to_say_it(body: str, words: str) -> None:
    assert (await failure(Response(body, 400, {"x-should-retry": "false"}))).detail == words


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ({"message": "no"}, FAILED),
        ("no", FAILED),
        ({"message": "no", "code": "rate_limit_exceeded"}, LIMITED),
        ({"message": "no", "type": "context_length_exceeded"}, TOO_LONG),
        ({"message": "prompt is too long", "code": None}, TOO_LONG),
        ({"message": "no", "code": 429}, LIMITED),
        ({"message": "no", "code": "401"}, NO_CREDENTIALS),
        ({"message": "no", "code": 502}, refused_with(502)),
        ({"message": "no", "code": 10_000}, FAILED),
        ({"message": "no", "code": 400}, WRONG),
    ],
)
async def test_an_error_in_the_midst_of_an_answer(error: JsonValue, expected: Refusal) -> None:
    frames = [f"data: {json.dumps(one)}\n\n" for one in (chunk(content="Hi"), {"error": error})]
    failed = await failure(events(frames))
    assert (failed.code, failed.message) == (expected.code, expected.message)


async def test_what_is_no_json_is_no_answer() -> None:
    assert (await failure(events(["data: {oops\n\n"]))).message == NO_FORMAT.message


async def test_a_server_that_is_not_there() -> None:
    with pytest.raises(RunError) as failed, upstream_errors(KEY, answering=False):
        async with upstream() as up:
            pass
        async with AsyncOpenAI(api_key=KEY, base_url=up.url, max_retries=0) as client:
            await client.models.list()
    assert (failed.value.code, failed.value.message) == (UNREACHABLE.code, UNREACHABLE.message)
    assert "Connection error." in failed.value.detail
    assert up.url not in failed.value.detail
