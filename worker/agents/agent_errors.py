"""Turns a CLI's error text into the error of a run.

For a refusal of the model's server the client gets our own message, which is the same for every agent. For other errors
the client gets the CLI's text, without the paths, addresses and keys in it. Operators get the whole text.
"""

from __future__ import annotations

import re

from shared.run.errors import ErrorCode, RunError
from shared.run.text import well_formed
from worker.agents.model_refusal import LIMITED, refusal, without_secrets

_SHOWN = 1_000  # characters of a CLI's text that a client gets
_KEPT = 2_000  # characters of it that operators get

_STATUS = re.compile(r"(?:^|\b(?:status|error|code|HTTP)\b\W{1,4}(?:code\W{1,4})?)([45]\d\d)\b", re.IGNORECASE)
_LIMITED = re.compile(r"too many requests|rate.?limit|resource.?exhausted", re.IGNORECASE)
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")  # colours and the like


def agent_error(words: str, status: int = 0) -> RunError:
    """`status` is that of the model's server, 0 when the CLI prints none apart from its text."""
    words = _clean(words)
    refused = refusal(status or _status(words), words) or (LIMITED if _LIMITED.search(words) else None)
    return RunError(refused.code, refused.message, words[:_KEPT]) if refused else quoted(words)


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
