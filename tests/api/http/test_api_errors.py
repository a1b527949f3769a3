from __future__ import annotations

import json

import pytest

from api.http import api_errors
from api.http.api_errors import RUN_STATUS, STOP_STATUS, ApiError, refused, run_ended, run_failed
from shared.run.errors import ErrorCode, KeyReused, QueueFull, Refused, SessionTaken, Unavailable
from shared.run.events import Cancelled, Failed, StopReason


@pytest.mark.parametrize(
    ("failure", "status", "error"),
    [
        (api_errors.unauthorized(), 401, {"message": "Unauthorized", "type": "unauthorized"}),
        (api_errors.forbidden("No."), 403, {"message": "No.", "type": "forbidden"}),
        (
            api_errors.payload_too_large(),
            413,
            {"message": "payload too large", "type": "invalid_request_error"},
        ),
        (api_errors.invalid_json(), 400, {"message": "invalid json", "type": "invalid_request_error"}),
        (
            api_errors.body_not_finished(),
            408,
            {"message": "request body not finished in time", "type": "invalid_request_error"},
        ),
        (
            api_errors.missing_user_message(),
            400,
            {"message": "Missing user message in `messages`.", "type": "invalid_request_error"},
        ),
        (
            api_errors.agent_not_found("beta"),
            404,
            {
                "message": "No worker serves the agent `beta`; GET /v1/models names those that are served.",
                "type": "invalid_request_error",
                "code": "model_not_found",
                "param": "model",
            },
        ),
        (
            api_errors.illegal_session_key("Too long."),
            400,
            {"message": "Too long.", "type": "invalid_request_error", "code": "illegal_session_key"},
        ),
    ],
)
def test_before_a_run(failure: ApiError, status: int, error: dict[str, str]) -> None:
    assert (failure.status, json.loads(failure.body)) == (status, {"error": error})
    assert failure.headers["Content-Type"] == "application/json; charset=utf-8"


def test_a_client_is_not_to_repeat_a_request_that_met_a_bug() -> None:
    """The bug may have happened after the API had accepted a run."""
    failure = api_errors.internal_error()
    assert (failure.status, failure.error["code"]) == (500, "internal_error")
    assert failure.headers["x-should-retry"] == "false"


def test_unauthorized_says_how_to_authenticate() -> None:
    assert api_errors.unauthorized().headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("error", "status", "code", "header"),
    [
        (SessionTaken(), 403, "session_taken", None),
        (KeyReused(), 409, "idempotency_key_reused", "x-should-retry"),
        (QueueFull("session"), 429, "queue_full", "Retry-After"),
        (QueueFull("total"), 429, "queue_full", "Retry-After"),
        (Unavailable("redis://:secret@host"), 503, "unavailable", "Retry-After"),
    ],
)
def test_a_run_that_was_not_accepted(error: Refused | Unavailable, status: int, code: str, header: str | None) -> None:
    failure = refused(error)
    assert (failure.status, failure.error["code"]) == (status, code)
    assert header is None or header in failure.headers
    assert "secret" not in str(failure)


def test_every_way_to_fail_and_to_be_stopped_has_a_status() -> None:
    assert set(RUN_STATUS) == set(ErrorCode)
    assert set(STOP_STATUS) == set(StopReason)


@pytest.mark.parametrize(
    ("code", "status", "type"),
    [
        ("agent_failed", 500, "api_error"),
        ("run_timeout", 504, "api_error"),
        ("queue_timeout", 504, "api_error"),
        ("upstream_error", 502, "api_error"),
        ("upstream_timeout", 504, "api_error"),
        ("rate_limit_exceeded", 429, "rate_limit_error"),
        ("invalid_request", 400, "invalid_request_error"),
        ("context_length_exceeded", 400, "invalid_request_error"),
        ("content_filter", 400, "invalid_request_error"),
        ("worker_lost", 503, "api_error"),
        ("run_lost", 503, "api_error"),
        ("model_not_found", 404, "invalid_request_error"),
        ("of_a_later_release", 500, "api_error"),
    ],
)
def test_a_failed_run(code: str, status: int, type: str) -> None:
    failure = run_ended("chatcmpl_1", Failed(code=code, message="It broke."))
    assert failure.status == status
    assert failure.error == {"message": "Run chatcmpl_1 failed: It broke.", "type": type, "code": code}


@pytest.mark.parametrize("reason", list(StopReason))
def test_a_cancelled_run(reason: StopReason) -> None:
    failure = run_ended("chatcmpl_1", Cancelled(reason=reason))
    assert (failure.error["code"], failure.error["type"]) == ("cancelled", "api_error")
    assert str(failure).startswith("Run chatcmpl_1 was ")


@pytest.mark.parametrize("end", [Failed(code="worker_lost", message=""), Cancelled(reason=StopReason.USER)])
def test_after_a_run_was_accepted_clients_are_told_its_id_and_not_to_retry(end: Failed | Cancelled) -> None:
    headers = run_ended("chatcmpl_1", end).headers
    assert headers["X-Run-Id"] == "chatcmpl_1"
    assert headers["x-should-retry"] == "false"


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("", "agent_failed"),
        ("  \n ", "agent_failed"),
        ("Quota exceeded.\nsecond line", "Quota exceeded."),
        ("Traceback (most recent call last):\n  File ...", "…"),
        ("boom: Traceback (most recent call last): File x", "boom: …"),
        ("no such file: '/srv/app/main.py'", "no such file: '…'"),
        ("cannot open C:\\Users\\me\\x", "cannot open …"),
        ("connect to redis://:pw@10.0.0.1:6379/0 failed", "connect to … failed"),
        ("connect to postgres+asyncpg://db/x failed", "connect to … failed"),
        ("GET https://me:pw@example.com/x failed", "GET … failed"),
        ("see https://example.com/docs/keys, please", "see https://example.com/docs/keys, please"),
        ("and/or 3/4", "and/or 3/4"),
        ("x" * 501, "x" * 500),
        ("x" * 480 + " https://me:" + "secret" * 9 + "@host failed", "x" * 480 + " … failed"),
    ],
)
def test_no_stack_trace_path_or_connection_string_gets_out(message: str, shown: str) -> None:
    assert str(run_failed("r", ErrorCode.AGENT_FAILED, message)) == f"Run r failed: {shown}"
