"""Errors out of a framework, as the error of a run.

What went wrong between a framework and its model is told in the words that other agents use for it. It is known by the
names of the errors' classes: the clients of OpenAI, Anthropic, Groq and others are made by one generator and name them
alike, and not all of those that may be raised here are installed.
"""

from __future__ import annotations

import re
from types import TracebackType

from shared.run.errors import RunError
from shared.run.text import well_formed
from worker.agents.command.formats.format_errors import quoted
from worker.agents.refusal import (
    FAILED,
    LIMITED,
    NO_CREDENTIALS,
    NO_MODEL,
    NO_TIME,
    TOO_LONG,
    UNREACHABLE,
    refusal,
)

_ROOTS = {"APIError", "ModelAPIError"}  # of the clients; of pydantic_ai
_BY_NAME = {
    "APITimeoutError": NO_TIME,
    "APIConnectionError": UNREACHABLE,
    "ModelTimeoutError": NO_TIME,
    "ModelRequestTimeout": NO_TIME,
    "ModelConnectionError": UNREACHABLE,
    "ModelAuthenticationError": NO_CREDENTIALS,
    "ModelNotFoundError": NO_MODEL,
    "ModelContextWindowExceededError": TOO_LONG,
    "ModelRateLimitError": LIMITED,
    "ModelQuotaExceededError": LIMITED,
}
_KEYS = re.compile(r"\b(?:sk|AIza|key|gsk|xai)[-_]?[\w*.-]{8,}")  # some servers say the key that they refuse
_KEPT = 2_000  # characters of a server's own words kept for operators


class FrameworkErrors:
    """Within it, errors of a model's client and the framework's own ones become RunError; others are the agent's bugs.

    Not an `except`, as it cannot name what it catches.
    """

    def __init__(self, *own: type[Exception]) -> None:
        """`own` are those whose words were meant for whoever uses the agent."""
        self._own = own

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, ExceptionGroup):
            error = error.exceptions[-1]  # of models that were tried one after the other
        if isinstance(error, Exception) and (failure := upstream_failure(error)) is not None:
            raise failure from error
        if isinstance(error, self._own):
            raise quoted(_KEYS.sub("***", str(error))) from error


def upstream_failure(error: Exception) -> RunError | None:
    """None for an error that is not of a model's client."""
    names = [base.__name__ for base in type(error).__mro__]
    if not _ROOTS & set(names):
        return None
    words = _KEYS.sub("***", well_formed(str(error)))
    status = getattr(error, "status_code", None)
    by_name = next((_BY_NAME[name] for name in names if name in _BY_NAME), None)
    told = by_name or refusal(status if isinstance(status, int) else 0, words) or FAILED
    return RunError(told.code, told.message, words[:_KEPT])
