"""A CLI's own words about its failure, as the error of a run.

That the model's server refused is told in our words, which are the same for every agent. Other words are shown to the
client, without the paths, addresses and keys in them. Operators get all of a CLI's words.
"""

from __future__ import annotations

import re

from shared.errors import ErrorCode, RunError
from shared.text import well_formed

_SHOWN = 1_000  # characters of a CLI's words that a client gets to see
_KEPT = 2_000  # characters of them kept for operators

_STATUS = re.compile(r"(?:^|\b(?:status|error|code|HTTP)\b\W{1,4}(?:code\W{1,4})?)([45]\d\d)\b", re.IGNORECASE)
_TOO_LONG = re.compile(
    r"context.?(?:length|window)|(?:prompt|input|conversation) is too long|maximum context", re.IGNORECASE
)
_LIMITED = re.compile(r"too many requests|rate.?limit|resource.?exhausted", re.IGNORECASE)
_PRIVATE = re.compile(r"\w+://\S+|(?:[~\w]*[\\/][\w.@+-]+){2,}[\\/]?|\b(?:sk|AIza|key)[-_]?[\w-]{12,}")
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")  # colours and the like

_EXPLAINED = {
    401: "The model's server refused this service's credentials.",
    403: "The model's server refused this service's credentials.",
    404: "The model's server does not know the model.",
    408: "The model did not answer in time.",
    413: "The conversation is too long for the model.",
    429: "The model's server has reached its rate limit or quota.",
}


def failed(words: str, status: int = 0) -> RunError:
    """`status` is of the model's server, 0 when the CLI does not tell it apart from its words."""
    words = _ESCAPES.sub("", well_formed(words)).strip()
    explained = _explained(words, status or _status(words))
    if explained:
        return RunError(ErrorCode.UPSTREAM_ERROR, explained, words[:_KEPT])
    return RunError(ErrorCode.AGENT_FAILED, _PRIVATE.sub("…", words)[:_SHOWN] or "The agent failed.", words[:_KEPT])


def incomplete() -> RunError:
    """The CLI has ended as if all were well, without saying that its answer is whole."""
    return RunError(ErrorCode.AGENT_PROTOCOL_ERROR, "The agent ended without the end of its answer.")


def _status(words: str) -> int:
    found = _STATUS.search(words)
    return int(found[1]) if found else 0


def _explained(words: str, status: int) -> str:
    if _TOO_LONG.search(words):
        return "The conversation is too long for the model."
    if status < 400:
        return _EXPLAINED[429] if _LIMITED.search(words) else ""
    return _EXPLAINED.get(status, f"The model's server answered with status {status}.")
