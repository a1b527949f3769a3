"""Every error that runrelay raises on purpose.

RunrelayError
├── SettingsError      the operator set a wrong value: the process stops at its start with one line
├── Unavailable        Redis does not answer now: try again later, nothing was decided
│   └── Unreadable         what Redis holds cannot be read, now or later: fail what needs it, and nothing else
├── Refused            a run was not accepted; nothing was written
│   ├── SessionTaken       the session key belongs to another credential
│   ├── KeyReused          the idempotency key was used with another body
│   └── QueueFull          too many runs wait, in this session or in all
├── TooManyPauses      PAUSED_MOST agents are paused: the operator had better pause the whole queue
├── LogRefused         the event log did not take a write
│   ├── Fenced             a later attempt owns the run: write nothing more to it
│   ├── Closed             the run has its terminal record
│   └── LogLost            Redis came back without events that it had confirmed
│       └── EventsGone         Redis no longer keeps the events after a reader's cursor
├── Draining           this process is about to stop: go on reading at another one
└── RunError           ends a run as failed, with a code that clients see

Divided by whose fault it is. The errors of redis-py become `Unavailable` in `shared/redis/client.py` and nowhere else.
"""

from __future__ import annotations

from enum import StrEnum


class RunrelayError(Exception):
    """The root, so that an entry point can distinguish our errors from bugs."""


class SettingsError(RunrelayError):
    """A setting has a value that is not allowed; the text names the setting and the allowed values."""


class Unavailable(RunrelayError):
    """Redis cannot be reached or refuses to write. It may or may not have executed the operation: the caller may safely
    repeat it."""


class Unreadable(Unavailable):
    """A record, a log or a list of one run or session holds what no release has written. Reading it again does not
    help. Callers that do not know this error treat it as `Unavailable`; only retries end with it."""


class Refused(RunrelayError):
    """The ledger did not accept a run."""


class SessionTaken(Refused):
    """The session key was first used by another credential."""


class KeyReused(Refused):
    """The idempotency key was first used with another body."""


class QueueFull(Refused):
    """Too many runs wait. `scope` is `session` or `total`: the bound that was reached."""

    def __init__(self, scope: str) -> None:
        super().__init__(f"too many runs wait ({scope})")
        self.scope = scope


class TooManyPauses(RunrelayError):
    """PAUSED_MOST agents are paused already."""


class LogRefused(RunrelayError):
    """The event log did not take a write."""


class Fenced(LogRefused):
    """Another attempt owns the run now. The worker that gets this must stop its agent and write nothing more."""


class Closed(LogRefused):
    """The run has its terminal record already."""


class LogLost(LogRefused):
    """The log holds less than it had confirmed, as after a restart of Redis without its data."""


class EventsGone(LogLost):
    """Redis no longer keeps the event after a reader's cursor. The reader must learn of it, because the events that it
    has and those that would follow leave a gap."""


class Draining(RunrelayError):
    """This process stops serving its readers. Their runs go on."""


class ErrorCode(StrEnum):
    """Why a run failed. Clients see these codes; `api/http/api_errors.py` gives each its HTTP status."""

    AGENT_FAILED = "agent_failed"  # the agent reported it, raised, or exited with another code than 0
    AGENT_PROTOCOL_ERROR = "agent_protocol_error"  # the agent's output broke its configured format
    AGENT_SILENT = "agent_silent"  # the agent gave no sign of life for its `silent_seconds`
    AGENT_NOT_FOUND = "model_not_found"  # the worker that claimed the run does not serve the agent after all
    OUTPUT_TOO_LARGE = "output_too_large"  # a line, an event or the run's whole output passed its bound
    UPSTREAM_ERROR = "upstream_error"  # the model behind the agent failed, or refuses this service
    UPSTREAM_TIMEOUT = "upstream_timeout"  # the model did not answer in time
    RATE_LIMITED = "rate_limit_exceeded"  # the model takes no more requests for now
    INVALID_REQUEST = "invalid_request"  # the model refuses a part of the request, such as a parameter
    CONTEXT_LENGTH_EXCEEDED = "context_length_exceeded"  # the conversation is too long for the model
    CONTENT_FILTER = "content_filter"  # the model refuses the content of the conversation
    QUEUE_TIMEOUT = "queue_timeout"  # no worker claimed the run in time
    RUN_TIMEOUT = "run_timeout"  # the agent did not end in time
    WORKER_LOST = "worker_lost"  # the worker died or was stopped after the agent had begun to answer
    POISONED = "poisoned"  # the run was lost with its worker twice, so it may be what ends the workers
    RUN_LOST = "run_lost"  # Redis lost the run
    UNREADABLE = "unreadable"  # what Redis holds of the run, or of its session, cannot be read
    INTERNAL_ERROR = "internal_error"  # a bug of ours; the worker's log has the traceback


class RunError(RunrelayError):
    """Ends a run as failed.

    `message` is for clients: no path, no traceback, no secret. `detail` is for operators: the worker writes it to the
    terminal record and its own log, and the API never sends it to a client. `retry_at` is when another try may succeed,
    in s since the epoch; None when that is not known.
    """

    def __init__(self, code: ErrorCode, message: str, detail: str = "", *, retry_at: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.detail = detail
        self.retry_at = retry_at
