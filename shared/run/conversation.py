"""A conversation that an agent keeps by itself, such as a coding CLI in files of its own.

It stands beside the session's transcript, and only as long as it holds the same: a run takes it away when it begins,
and puts one back when it completes. So after a run that failed, was stopped or was lost there is none, and the next
one is given the transcript. What the agent has kept of such a run, nobody was told as an answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from hashlib import sha256

from shared.run.events import Tokens, Value


class StoredConversation(Value):
    id: str  # the agent's name for it
    agent_id: str
    place: str  # where the agent finds it again, in the agent's own words
    system: str  # digest of the system prompt that it was told last; empty for none
    spent: Tokens = Tokens()  # what the agent has counted in it so far, if it counts from the beginning
    exchange: str = ""  # digest of the turns that were the transcript's last when this was kept


class Resumed(StrEnum):
    """Whether an agent went on in its own conversation."""

    YES = "yes"
    NO = "no"  # there was none
    FELL_BACK = "fell_back"  # there was one, but the agent did not go on in it and was given the transcript


def digest(*texts: str) -> str:
    """Of a sequence of texts; empty for nothing but empty ones."""
    return sha256("\0".join(texts).encode(errors="replace")).hexdigest() if any(texts) else ""


def exchange_digest(turns: Sequence[str]) -> str:
    """By which the end of a transcript, as JSON, is known again: a worker of an earlier release adds turns and lets the
    conversation stand."""
    return digest(*turns[-2:])
