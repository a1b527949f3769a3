"""All error responses as values: the status, the body `{"error": {...}}`, and the headers.

The code that finds an error raises an `ApiError`, and `api/http/error_handlers.py` turns it into a response. Before a
run was accepted a client may try again. Afterwards it must not, or its agent would run twice.
"""

from __future__ import annotations

from collections.abc import Mapping

from api.http.json_value import JsonObject, compact
from api.http.public_message import public_message
from shared.run.clock import now_ms
from shared.run.errors import (
    Draining,
    ErrorCode,
    EventsGone,
    KeyReused,
    LogLost,
    QueueFull,
    Refused,
    SessionTaken,
    Unavailable,
    Unreadable,
)
from shared.run.events import Cancelled, Failed, StopReason

JSON = "application/json; charset=utf-8"

INVALID = "invalid_request_error"
API = "api_error"
LIMITED = "rate_limit_error"


class ApiError(Exception):
    """One error response."""

    def __init__(
        self,
        status: int,
        message: str,
        type: str,
        *,
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.error: JsonObject = {"message": message, "type": type}
        self.error |= {name: value for name, value in (("code", code), ("param", param)) if value is not None}
        self.headers = {"Content-Type": JSON, **(headers or {})}

    @property
    def body(self) -> bytes:
        return compact({"error": self.error})


# --- before a run was accepted ----------------------------------------------------------------------------------------

_CLOSE = {"Connection": "close"}  # the API does not read the rest of the body
_NO_RETRY = {"x-should-retry": "false"}  # OpenAI's clients obey it; without it they repeat after any 409, 429 and 5xx
_RETRY = {"x-should-retry": "true"}


def unauthorized() -> ApiError:
    return ApiError(401, "Unauthorized", "unauthorized", headers={"WWW-Authenticate": "Bearer"})


def forbidden(message: str) -> ApiError:
    return ApiError(403, message, "forbidden")


_SCOPE_SETTINGS = {"api": "API_TOKENS", "monitor": "MONITOR_TOKENS or OPERATE_TOKENS", "operate": "OPERATE_TOKENS"}


def scope_missing(scope: str) -> ApiError:
    message = f"This credential does not have the scope `{scope}`. Tokens get it in {_SCOPE_SETTINGS[scope]}."
    return ApiError(403, message, "forbidden", code="scope_missing")


def payload_too_large() -> ApiError:
    return ApiError(413, "payload too large", INVALID, headers=_CLOSE)


def invalid_json() -> ApiError:
    return ApiError(400, "invalid json", INVALID)


def body_not_finished() -> ApiError:
    return ApiError(408, "request body not finished in time", INVALID, headers=_CLOSE)


def missing_user_message() -> ApiError:
    return ApiError(400, "Missing user message in `messages`.", INVALID)


def agent_not_found(agent_id: str, *, param: str = "model") -> ApiError:
    message = f"No worker serves the agent `{agent_id}`; GET /v1/models names those that are served."
    return ApiError(404, message, INVALID, code=ErrorCode.AGENT_NOT_FOUND, param=param)


def illegal_session_key(reason: str) -> ApiError:
    return ApiError(400, reason, INVALID, code="illegal_session_key")


def internal_error() -> ApiError:
    return ApiError(500, "Internal error.", API, code=ErrorCode.INTERNAL_ERROR, headers=_NO_RETRY)


def refused(error: Refused | Unavailable) -> ApiError:
    """The response for a run that was not accepted or could not be read."""
    match error:
        case SessionTaken():
            message = "The session key belongs to another credential."
            return ApiError(403, message, INVALID, code="session_taken")
        case KeyReused():
            message = "The idempotency key was used with another request body."
            return ApiError(409, message, INVALID, code="idempotency_key_reused", headers=_NO_RETRY)
        case QueueFull(scope=scope):
            message = "Too many runs wait in this session." if scope == "session" else "Too many runs wait."
            return ApiError(429, message, LIMITED, code="queue_full", headers={"Retry-After": "5"})
        case Unreadable():
            message = "What the service keeps of this cannot be read."
            return ApiError(500, message, API, code=ErrorCode.UNREADABLE, headers=_NO_RETRY)
        case _:
            message = "The service cannot do this now. Try again."
            return ApiError(503, message, API, code="unavailable", headers={"Retry-After": "2"})


def run_not_found(run_id: str) -> ApiError:
    """Also the response for a run of another credential, so that a client cannot find out whether it exists."""
    return ApiError(404, f"No run `{run_id}`.", INVALID, code="run_not_found")


def invalid_value(param: str, reason: str) -> ApiError:
    return ApiError(400, f"`{param}`: {reason}", INVALID, code="invalid_value", param=param)


def worker_not_found(worker: str) -> ApiError:
    return ApiError(404, f"No worker `{worker}`.", INVALID, code="worker_not_found")


def run_not_ended(run_id: str) -> ApiError:
    message = f"Run `{run_id}` has not ended. Cancel it first."
    return ApiError(409, message, INVALID, code="run_not_ended", headers=_NO_RETRY)


def too_many_pauses() -> ApiError:
    message = "So many agents are paused already that no more can be. Pause the whole queue."
    return ApiError(409, message, INVALID, code="too_many_pauses", headers=_NO_RETRY)


# --- after a run was accepted -----------------------------------------------------------------------------------------

RUN_STATUS: dict[str, int] = {
    ErrorCode.AGENT_FAILED: 500,
    ErrorCode.AGENT_PROTOCOL_ERROR: 500,
    ErrorCode.AGENT_SILENT: 504,
    ErrorCode.AGENT_NOT_FOUND: 404,
    ErrorCode.OUTPUT_TOO_LARGE: 500,
    ErrorCode.UPSTREAM_ERROR: 502,
    ErrorCode.UPSTREAM_TIMEOUT: 504,
    ErrorCode.RATE_LIMITED: 429,
    ErrorCode.INVALID_REQUEST: 400,
    ErrorCode.CONTEXT_LENGTH_EXCEEDED: 400,
    ErrorCode.CONTENT_FILTER: 400,
    ErrorCode.QUEUE_TIMEOUT: 504,
    ErrorCode.RUN_TIMEOUT: 504,
    ErrorCode.WORKER_LOST: 503,
    ErrorCode.POISONED: 500,
    ErrorCode.RUN_LOST: 503,
    ErrorCode.UNREADABLE: 500,
    ErrorCode.INTERNAL_ERROR: 500,
}

# A cancellation by the client is no fault of the server, so it is no 5xx. 499 is nginx's own and in no standard. 409
# means that the state of the run prevents a response.
STOP_STATUS: dict[StopReason, tuple[int, str]] = {
    StopReason.USER: (409, "was cancelled"),
    StopReason.DISCONNECT: (409, "was cancelled because its client had left"),
    StopReason.TIMEOUT: (504, "was cancelled because its client's time was up"),
    StopReason.DRAIN: (503, "was stopped with its worker"),
    StopReason.LEASE_LOST: (503, "was stopped because its worker had lost it"),
}


def run_headers(run_id: str) -> dict[str, str]:
    """The headers of every response about an accepted run, also of an error."""
    return {"X-Run-Id": run_id, **_NO_RETRY}


def run_ended(run_id: str, end: Failed | Cancelled) -> ApiError:
    """The response for an accepted run that failed or was cancelled."""
    if isinstance(end, Failed):
        return run_failed(run_id, end.code, end.message, retry_at=end.retry_at)
    status, how = STOP_STATUS[end.reason]
    return ApiError(status, f"Run {run_id} {how}.", API, code="cancelled", headers=run_headers(run_id))


def run_failed(run_id: str, code: str, message: str, *, retry_at: int | None = None) -> ApiError:
    """`retry_at`: when another try may succeed, in s since the epoch."""
    status = RUN_STATUS.get(code, 500)  # a worker of a later release may write other codes
    later = {} if retry_at is None else {"Retry-After": str(max(1, retry_at - now_ms() // 1000))}
    return ApiError(
        status,
        f"Run {run_id} failed: {public_message(message) or code}",
        API if status >= 500 else LIMITED if status == 429 else INVALID,
        code=code,
        headers=run_headers(run_id) | later,
    )


def reading_ended(run_id: str, why: LogLost | Draining, *, again: bool = False) -> ApiError:
    """The response for a reader that gets no more events although its run has not ended. `again`: the client should
    repeat its request."""
    match why:
        case EventsGone():
            message, code = "has events after this place that are not kept any more", "events_gone"
        case LogLost():
            message, code = "was lost by Redis", ErrorCode.RUN_LOST.value
        case _:
            message, code = "goes on, but this server is restarting: read on with the run's id", "server_restarting"
    headers = run_headers(run_id) | (_RETRY if again else {})
    return ApiError(503, f"Run {run_id} {message}.", API, code=code, headers=headers)


def run_unseen(run_id: str, why: Unavailable) -> ApiError:
    """The response for a run that was accepted, but whose view could not be read."""
    if isinstance(why, Unreadable):
        message = f"What the service keeps of run {run_id} cannot be read."
        return ApiError(500, message, API, code=ErrorCode.UNREADABLE, headers=run_headers(run_id))
    message = f"Run {run_id} was accepted, but how it is cannot be said now."
    return ApiError(503, message, API, code="unavailable", headers=run_headers(run_id) | {"Retry-After": "2"})


def client_out_of_time(run_id: str, seconds: float) -> ApiError:
    message = f"Run {run_id} took longer than the {seconds:g} s that the client waits for an answer."
    return ApiError(504, message, API, code="client_timeout", headers=run_headers(run_id))
