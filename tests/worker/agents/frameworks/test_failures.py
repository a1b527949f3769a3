from __future__ import annotations

import httpx2
import openai
import pytest
from pydantic_ai import exceptions as pydantic_ai

from shared.errors import ErrorCode, RunError
from worker.agents.frameworks.failures import Translated

KEY = "sk-proj-0123456789abcdef"
REQUEST = httpx2.Request("POST", "http://user:pw@model.internal/v1")


def status(kind: type[openai.APIStatusError], code: int) -> openai.APIStatusError:
    return kind(f"Incorrect key {KEY}", response=httpx2.Response(code, request=REQUEST), body=None)


REFUSALS = {
    "rate limit or quota": ErrorCode.RATE_LIMITED,
    "did not answer in time": ErrorCode.UPSTREAM_TIMEOUT,
    "too long for the model": ErrorCode.CONTEXT_LENGTH_EXCEEDED,
}


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (status(openai.AuthenticationError, 401), "refused this service's credentials"),
        (status(openai.RateLimitError, 429), "rate limit or quota"),
        (status(openai.InternalServerError, 503), "answered with status 503"),
        (openai.APITimeoutError(REQUEST), "did not answer in time"),
        (openai.APIConnectionError(request=REQUEST), "cannot be reached"),
        (openai.APIError(f"key {KEY}", REQUEST, body=None), "failed while it answered"),
        (pydantic_ai.ModelHTTPError(401, "m", {"message": f"no: {KEY}"}), "refused this service's credentials"),
        (pydantic_ai.ModelHTTPError(429, "m"), "rate limit or quota"),
        (pydantic_ai.ModelConnectionError("m", f"at {REQUEST.url}"), "cannot be reached"),
        (pydantic_ai.ModelTimeoutError("m", "slow"), "did not answer in time"),
        (pydantic_ai.ModelContextWindowExceededError("m", "no"), "too long for the model"),
        (pydantic_ai.ModelAPIError("m", "no"), "failed while it answered"),
        (ExceptionGroup("all", [ValueError(), pydantic_ai.ModelHTTPError(429, "m")]), "rate limit or quota"),
    ],
)
def test_what_a_model_s_client_raises_is_told_as_of_every_agent_and_without_secrets(
    error: Exception, told: str
) -> None:
    with pytest.raises(RunError, match=told) as failure, Translated():
        raise error
    assert failure.value.code is REFUSALS.get(told, ErrorCode.UPSTREAM_ERROR)
    assert KEY not in failure.value.message + failure.value.detail
    assert "internal" not in failure.value.message


def test_what_the_framework_says_to_users_is_told() -> None:
    with pytest.raises(RunError) as failure, Translated(pydantic_ai.AgentRunError):
        raise pydantic_ai.UnexpectedModelBehavior(f"Too many requests, see /srv/agent/main.py, {KEY}")
    assert failure.value.code is ErrorCode.AGENT_FAILED
    assert failure.value.message == "Too many requests, see …, ***"


@pytest.mark.parametrize("error", [ValueError("a bug"), KeyboardInterrupt(), RunError(ErrorCode.AGENT_FAILED, "no")])
def test_anything_else_stays_what_it_is(error: BaseException) -> None:
    with pytest.raises(type(error)) as raised, Translated(pydantic_ai.AgentRunError):
        raise error
    assert raised.value is error
