from __future__ import annotations

import httpx2
import openai
import pytest
from pydantic_ai import exceptions as pydantic_ai

from shared.run.errors import ErrorCode, RunError
from worker.agents.model_refusal import (
    FAILED,
    LIMITED,
    NO_CREDENTIALS,
    NO_MODEL,
    NO_TIME,
    TOO_LONG,
    UNREACHABLE,
    Refusal,
    refusal,
)
from worker.agents.python.frameworks.framework_errors import FrameworkErrors

KEY = "sk-proj-0123456789abcdef"
REQUEST = httpx2.Request("POST", "http://user:pw@model.internal/v1")


def status(kind: type[openai.APIStatusError], code: int) -> openai.APIStatusError:
    return kind(f"Incorrect key {KEY}", response=httpx2.Response(code, request=REQUEST), body=None)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (status(openai.AuthenticationError, 401), NO_CREDENTIALS),
        (status(openai.NotFoundError, 404), NO_MODEL),
        (status(openai.RateLimitError, 429), LIMITED),
        (status(openai.InternalServerError, 503), refusal(503)),
        (openai.APITimeoutError(REQUEST), NO_TIME),
        (openai.APIConnectionError(request=REQUEST), UNREACHABLE),
        (openai.APIError(f"key {KEY}", REQUEST, body=None), FAILED),
        (pydantic_ai.ModelHTTPError(401, "m", {"message": f"no: {KEY}"}), NO_CREDENTIALS),
        (pydantic_ai.ModelHTTPError(429, "m"), LIMITED),
        (pydantic_ai.ModelConnectionError("m", f"at {REQUEST.url}"), UNREACHABLE),
        (pydantic_ai.ModelTimeoutError("m", "slow"), NO_TIME),
        (pydantic_ai.ModelContextWindowExceededError("m", "no"), TOO_LONG),
        (pydantic_ai.ModelAPIError("m", "no"), FAILED),
        (ExceptionGroup("all", [ValueError(), pydantic_ai.ModelHTTPError(429, "m")]), LIMITED),
    ],
)
def test_what_a_model_s_client_raises_is_told_as_with_other_agents_and_without_secrets(
    error: Exception, expected: Refusal
) -> None:
    with pytest.raises(RunError) as failure, FrameworkErrors():
        raise error
    assert Refusal(failure.value.code, failure.value.message) == expected
    assert KEY not in failure.value.detail


def test_what_the_framework_says_to_users_is_told() -> None:
    with pytest.raises(RunError) as failure, FrameworkErrors(pydantic_ai.AgentRunError):
        raise pydantic_ai.UnexpectedModelBehavior(f"Too many requests, see /srv/agent/main.py, {KEY}")
    assert failure.value.code is ErrorCode.AGENT_FAILED
    assert failure.value.message == "Too many requests, see …, ***"


@pytest.mark.parametrize("error", [ValueError("a bug"), KeyboardInterrupt(), RunError(ErrorCode.AGENT_FAILED, "no")])
def test_anything_else_stays_what_it_is(error: BaseException) -> None:
    with pytest.raises(type(error)) as raised, FrameworkErrors(pydantic_ai.AgentRunError):
        raise error
    assert raised.value is error
