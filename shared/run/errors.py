"""Every error that runrelay raises on purpose.

RunrelayError
├── SettingsError      the operator set something wrong: the start stops with one line
├── Unavailable        Redis does not answer now: try again later, nothing was decided
├── Refused            a run was not accepted; nothing was written
│   ├── SessionTaken       the session key belongs to another credential
│   ├── KeyReused          the idempotency key was used with another body
│   └── QueueFull          too many runs wait, in this session or in all
├── TooManyPauses      so many agents are paused that somebody must have meant the whole queue
├── LogRefused         the event log did not take a write
│   ├── Fenced             a later attempt owns the run: stop speaking for it
│   ├── Closed             the run has its terminal record
│   └── LogLost            Redis came back without what it had confirmed
│       └── EventsGone         events after a reader's place are not kept any more
├── Draining           this process is about to stop: go on reading at another one
└── RunError           what ends a run as failed, with a code that clients see

Divided by whose fault it is. The errors of redis-py become `Unavailable` in `shared/redis/client.py` and nowhere else.
"""

from __future__ import annotations

from enum import StrEnum


class RunrelayError(Exception):
    """The root, so that an entry point can tell our errors from bugs."""


class SettingsError(RunrelayError):
    """A setting has a value that is not allowed; the text names it and says what is."""


class Unavailable(RunrelayError):
    """Redis cannot be reached or refuses to write. The act may or may not have happened: acts are safe to repeat."""


class Refused(RunrelayError):
    """The ledger did not accept a run."""


class SessionTaken(Refused):
    """The session key was first used by another credential."""


class KeyReused(Refused):
    """The idempotency key was first used with another body."""


class QueueFull(Refused):
    """`scope` is `session` or `total`: which bound on waiting runs was met."""

    def __init__(self, scope: str) -> None:
        super().__init__(f"too many runs wait ({scope})")
        self.scope = scope


class TooManyPauses(RunrelayError):
    """PAUSED_MOST agents are paused already."""


class LogRefused(RunrelayError):
    """The event log did not take a write."""


class Fenced(LogRefused):
    """Another attempt owns the run now. Whoever gets this must stop its agent and write nothing more."""


class Closed(LogRefused):
    """The run has its terminal record already."""


class LogLost(LogRefused):
    """The log holds less than it had confirmed, as after a restart of Redis without its data."""


class EventsGone(LogLost):
    """A reader's place points before what is kept. It must be told: what it has and what would come do not join."""


class Draining(RunrelayError):
    """This process stops serving its readers. Their runs go on."""


class ErrorCode(StrEnum):
    """Why a run failed. Clients see these words; `api/http/api_errors.py` gives each its HTTP status."""

    AGENT_FAILED = "agent_failed"  # the agent said so, raised, or exited with another code than 0
    AGENT_PROTOCOL_ERROR = "agent_protocol_error"  # the agent broke the format it was configured to speak
    AGENT_NOT_FOUND = "model_not_found"  # the worker that took the run does not serve the agent after all
    OUTPUT_TOO_LARGE = "output_too_large"  # a line, an event or the run's whole output passed its bound
    UPSTREAM_ERROR = "upstream_error"  # the model behind the agent failed, or refuses this service
    UPSTREAM_TIMEOUT = "upstream_timeout"  # it did not answer in time
    RATE_LIMITED = "rate_limit_exceeded"  # it answers no more for now
    INVALID_REQUEST = "invalid_request"  # it refuses what the request says, such as a parameter
    CONTEXT_LENGTH_EXCEEDED = "context_length_exceeded"  # the conversation is too long for it
    CONTENT_FILTER = "content_filter"  # it refuses what the conversation is about
    QUEUE_TIMEOUT = "queue_timeout"  # no worker took the run in time
    RUN_TIMEOUT = "run_timeout"  # the agent did not end in time
    WORKER_LOST = "worker_lost"  # the worker died or was stopped after the agent had begun to answer
    RUN_LOST = "run_lost"  # Redis lost the run
    INTERNAL_ERROR = "internal_error"  # a bug of ours; the worker's log has the traceback


class RunError(RunrelayError):
    """Ends a run as failed.

    `message` is for clients: no path, no traceback, no secret. `detail` is for operators: it goes to the run record
    and the worker's log and never to a client.
    """

    def __init__(self, code: ErrorCode, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.detail = detail
