"""The refusals of a model's server, with messages of our own that every kind of agent uses.

The code depends on the party that can mend the cause: a client can shorten a conversation or wait, but it cannot renew
our credentials.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from shared.run.errors import ErrorCode

_TOO_LONG = re.compile(
    r"context.?(?:length|window)|(?:prompt|input|conversation) is too long|maximum context", re.IGNORECASE
)
_PRIVATE = re.compile(r"\w+://\S+|(?:[~\w]*[\\/][\w.@+-]+){2,}[\\/]?|\b(?:sk|AIza|key)[-_]?[\w-]{12,}")


@dataclass(frozen=True)
class Refusal:
    code: ErrorCode
    message: str  # for clients


UNREACHABLE = Refusal(ErrorCode.UPSTREAM_ERROR, "The model's server cannot be reached.")
BROKEN_OFF = Refusal(ErrorCode.UPSTREAM_ERROR, "The model's answer broke off.")
FAILED = Refusal(ErrorCode.UPSTREAM_ERROR, "The model's server failed while it answered.")
NO_FORMAT = Refusal(ErrorCode.UPSTREAM_ERROR, "The model's server did not answer in OpenAI's format.")
NO_TIME = Refusal(ErrorCode.UPSTREAM_TIMEOUT, "The model did not answer in time.")
NO_CREDENTIALS = Refusal(ErrorCode.UPSTREAM_ERROR, "The model's server refused this service's credentials.")
NO_MODEL = Refusal(ErrorCode.UPSTREAM_ERROR, "The model's server does not know the model.")
LIMITED = Refusal(ErrorCode.RATE_LIMITED, "The model's server has reached its rate limit or quota.")
TOO_LONG = Refusal(ErrorCode.CONTEXT_LENGTH_EXCEEDED, "The conversation is too long for the model.")
FILTERED = Refusal(ErrorCode.CONTENT_FILTER, "The model's server refused the request because of its content.")

_BY_STATUS = {
    401: NO_CREDENTIALS,
    403: NO_CREDENTIALS,
    404: NO_MODEL,
    408: NO_TIME,
    413: TOO_LONG,
    429: LIMITED,
    504: NO_TIME,
}


def refusal(status: int, words: str = "") -> Refusal | None:
    """The refusal that the server's status and text mean; None when they mean none. A status of 0 is unknown."""
    if _TOO_LONG.search(words):
        return TOO_LONG
    if status < 400:
        return None
    return _BY_STATUS.get(
        status, Refusal(ErrorCode.UPSTREAM_ERROR, f"The model's server answered with status {status}.")
    )


def without_secrets(words: str) -> str:
    """`words` without the paths, addresses and keys in them."""
    return _PRIVATE.sub("…", words)
