"""A conversation that an agent keeps by itself, as a coding CLI does in files of its own.

The ledger keeps it beside the session's transcript, and only as long as both hold the same turns: a run removes it when
it begins, and stores one when it completes. So after a run that failed, was stopped or was lost there is none, and the
agent of the next run gets the transcript. The agent may have kept turns of such a run, but no client got them as an
answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from hashlib import sha256

from shared.run.events import Tokens, Value


class StoredConversation(Value):
    id: str  # the agent's name for it
    agent_id: str
    place: str  # where the agent finds it again, in a form of the agent's own
    system: str  # digest of the last system prompt that the agent got in it; empty for none
    spent: Tokens = Tokens()  # tokens of the conversation so far, for an agent that counts from its beginning
    exchange: str = ""  # digest of the transcript's last turns at the time when the ledger stored this


class Resumed(StrEnum):
    """Whether an agent continued its own conversation."""

    YES = "yes"
    NO = "no"  # there was none
    FELL_BACK = "fell_back"  # there was one, but the agent could not continue it and got the transcript


def digest(*texts: str) -> str:
    """The digest of a sequence of texts; an empty text when all of them are empty."""
    return sha256("\0".join(texts).encode(errors="replace")).hexdigest() if any(texts) else ""


def exchange_digest(turns: Sequence[str]) -> str:
    """The digest of the last two turns of a transcript, given as JSON. It shows whether a conversation still fits: a
    worker of an earlier release adds turns and leaves the conversation as it was."""
    return digest(*turns[-2:])
