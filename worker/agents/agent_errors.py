"""Turns a CLI's error text into the error of a run.

For a refusal of the model's server the client gets our own message, which is the same for every agent. For other errors
the client gets the CLI's text, without the paths, addresses and keys in it. Operators get the whole text.
"""

from __future__ import annotations

import re
import time

from shared.run.errors import ErrorCode, RunError
from shared.run.text import well_formed
from worker.agents.model_refusal import LIMITED, NO_CREDENTIALS, Refusal, refusal, without_secrets

_SHOWN = 1_000  # characters of a CLI's text that a client gets
_KEPT = 2_000  # characters of it that operators get

_STATUS = re.compile(r"(?:^|\b(?:status|error|code|HTTP)\b\W{1,4}(?:code\W{1,4})?)([45]\d\d)\b", re.IGNORECASE)
_LIMITED = re.compile(
    r"too many requests|rate.?limit|resource.?exhausted|insufficient.?quota|out of (?:extra )?(?:usage|quota|credits)"
    r"|(?:usage|session|weekly|daily|monthly|spending|hour|quota|opus|sonnet) limit"
    r"|(?:hit|reached|exceeded|exhausted) (?:your|the)\b.{0,60}\b(?:limit|quota|allowance)",
    re.IGNORECASE,
)
_NO_KEY = re.compile(
    r"(?:incorrect|invalid|missing|expired|revoked) (?:x-)?(?:api.?key|credentials|(?:access |auth )?token)"
    r"|authentication.?(?:error|failed)|unauthori[sz]ed",
    re.IGNORECASE,
)
_WHEN = re.compile(
    r"\b(?:resets?|try again|available again|retry after)\b(?=[^.;|\n]{0,60}(?:\d|day\b))[^.;|\n]{1,80}", re.IGNORECASE
)
_EPOCH = re.compile(r"(?:\||resets?_?at\W{1,4})(1[6-9]\d{8}|[2-9]\d{9})\b", re.IGNORECASE)
_SECONDS = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400}
_DURATION = re.compile(r"(\d+)\s*(second|minute|hour|day)s?\b", re.IGNORECASE)
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")  # colours and the like


def agent_error(words: str, status: int = 0, *, retry_at: int | None = None) -> RunError:
    """`status` is that of the model's server, and `retry_at` when a limit is over, in s since the epoch. They are 0 and
    None when the CLI prints none apart from its text."""
    words = _clean(words)
    refused = refusal(status or _status(words), words) or _in_words(words)
    if refused is None:
        return quoted(words)
    if refused is not LIMITED:
        return RunError(refused.code, refused.message, words[:_KEPT])
    told = f" It says: {without_secrets(when[0]).strip()}." if (when := _WHEN.search(words)) else ""
    return RunError(refused.code, refused.message + told, words[:_KEPT], retry_at=retry_at or _retry_at(words))


def _in_words(words: str) -> Refusal | None:
    """The refusal that a CLI tells without a status."""
    if _LIMITED.search(words):
        return LIMITED
    return NO_CREDENTIALS if _NO_KEY.search(words) else None


def is_limit(words: str) -> bool:
    """Whether a CLI tells in words that a limit of its plan or of the model's server is reached."""
    return _LIMITED.search(words) is not None


def _retry_at(words: str) -> int | None:
    """When the limit is over, in s since the epoch, if the words tell it in a form that needs no calendar."""
    if epoch := _EPOCH.search(words):
        return int(epoch[1])
    when = _WHEN.search(words)
    parts = _DURATION.findall(when[0]) if when else []
    return int(time.time()) + sum(int(count) * _SECONDS[unit.lower()] for count, unit in parts) if parts else None


def quoted(words: str) -> RunError:
    """The error for a text that is not about the model's server."""
    words = _clean(words)
    return RunError(ErrorCode.AGENT_FAILED, without_secrets(words)[:_SHOWN] or "The agent failed.", words[:_KEPT])


def incomplete() -> RunError:
    """The error for a CLI that exits with 0 before the end of its answer."""
    return RunError(ErrorCode.AGENT_PROTOCOL_ERROR, "The agent ended without the end of its answer.")


def _clean(words: str) -> str:
    return _ESCAPES.sub("", well_formed(words)).strip()


def _status(words: str) -> int:
    found = _STATUS.search(words)
    return int(found[1]) if found else 0
