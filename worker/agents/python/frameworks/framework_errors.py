"""Turns the errors of a framework into the error of a run.

For an error between a framework and its model the client gets the message that other agents use for it. The adapter
finds such an error by the name of its class: one generator makes the clients of OpenAI, Anthropic, Groq and others, so
they use the same names, and not every client whose errors may come is installed here.
"""

from __future__ import annotations

import re
from types import TracebackType

from shared.run.errors import RunError
from shared.run.text import well_formed
from worker.agents.agent_errors import quoted
from worker.agents.model_refusal import (
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
_KEYS = re.compile(r"\b(?:sk|AIza|key|gsk|xai)[-_]?[\w*.-]{8,}")  # some servers repeat the key that they refuse
_KEPT = 2_000  # characters of a server's text that operators get


class FrameworkErrors:
    """Turns errors of a model's client and of the framework into RunError. Other errors are the agent's bugs and pass.

    It is not an `except`, because the classes that it catches may not be importable.
    """

    def __init__(self, *own: type[Exception]) -> None:
        """`own` are the framework's errors whose texts are meant for the user of the agent."""
        self._own = own

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, ExceptionGroup):
            error = error.exceptions[-1]  # one for each model that the framework tried, in turn
        if isinstance(error, Exception) and (failure := upstream_failure(error)) is not None:
            raise failure from error
        if isinstance(error, self._own):
            raise quoted(_KEYS.sub("***", str(error))) from error


def upstream_failure(error: Exception) -> RunError | None:
    """The RunError for an error of a model's client; None for another error."""
    names = [base.__name__ for base in type(error).__mro__]
    if not _ROOTS & set(names):
        return None
    words = _KEYS.sub("***", well_formed(str(error)))
    status = getattr(error, "status_code", None)
    by_name = next((_BY_NAME[name] for name in names if name in _BY_NAME), None)
    refused = by_name or refusal(status if isinstance(status, int) else 0, words) or FAILED
    return RunError(refused.code, refused.message, words[:_KEPT])
