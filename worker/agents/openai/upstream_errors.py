"""Turns the errors of the `openai` client into the error of a run.

For an error in its request the client of the run gets the text of the model's server, so that it can mend the request.
For every other error it gets our own message. Operators get the server's text, without the key.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from json import JSONDecodeError

import openai

from shared.run.errors import ErrorCode, RunError
from shared.run.text import well_formed
from worker.agents.model_refusal import (
    BROKEN_OFF,
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
    refusal,
    without_secrets,
)

_DETAIL = 2_000  # characters of a server's text that operators get
_SHOWN = 400  # characters of it that a client gets

# By a part of the name that servers give the error, in `code` or `type`; the first match counts.
_BY_NAME = {
    "context_length": TOO_LONG,
    "exceed_context": TOO_LONG,
    "content_filter": FILTERED,
    "content_policy": FILTERED,
    "insufficient_quota": LIMITED,
    "rate_limit": LIMITED,
    "invalid_api_key": NO_CREDENTIALS,
    "authentication": NO_CREDENTIALS,
    "model_not_found": NO_MODEL,
}


@contextmanager
def upstream_errors(key: str, *, answering: bool) -> Iterator[None]:
    """Raises RunError for an error of the `openai` client. `answering`: the server has begun to answer."""
    try:
        yield
    except openai.APIError as error:
        raise _failure(_refusal(error, key, answering=answering), _detail(error, key)) from None
    except JSONDecodeError as error:
        raise _failure(NO_FORMAT, str(error)) from None


def _refusal(error: openai.APIError, key: str, *, answering: bool) -> Refusal:
    if isinstance(error, openai.APITimeoutError):
        return NO_TIME
    if isinstance(error, openai.APIConnectionError):
        return BROKEN_OFF if answering else UNREACHABLE
    if isinstance(error, openai.APIResponseValidationError):
        return NO_FORMAT
    names = f"{error.code or ''} {error.type or ''}".lower()
    status = error.status_code if isinstance(error, openai.APIStatusError) else _status(error.code)
    words = _words(error).replace(key, "***")
    known = next((meant for name, meant in _BY_NAME.items() if name in names), None) or refusal(status, words)
    if status in (400, 422) and known == refusal(status):
        return _refused(words)
    return known or FAILED


def _refused(words: str) -> Refusal:
    """The refusal of a wrong request, with the server's text."""
    shown = without_secrets(" ".join(words.split()))[:_SHOWN]
    return Refusal(ErrorCode.INVALID_REQUEST, f"The model's server refused the request: {shown}")


def _status(code: object) -> int:
    """The status of an error that came during an answer; 0 without one. Some servers put it into `code`, as a number or
    as digits."""
    text = str(code)
    return int(text) if text.isascii() and text.isdigit() and len(text) == 3 else 0


def _words(error: openai.APIError) -> str:
    match error.body:
        case {"message": str(words)} | {"detail": str(words)} | str(words) if words:
            return well_formed(words)
        case None | "":
            return well_formed(error.message)
        case other:
            return well_formed(str(other))


def _detail(error: openai.APIError, key: str) -> str:
    words = _words(error)
    if error.__cause__ is not None:
        words = f"{words} ({error.__cause__})"
    if tries := error.request.headers.get("x-stainless-retry-count", "0").strip("0"):
        words = f"{words} [asked {int(tries) + 1} times]"
    return words.replace(key, "***")[:_DETAIL]


def _failure(refusal: Refusal, detail: str) -> RunError:
    return RunError(refusal.code, refusal.message, detail)
