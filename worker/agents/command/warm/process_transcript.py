"""What a process has been told and has answered: its own conversation, to be compared with the session's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from hashlib import sha256

from shared.run.run import Turn
from worker.agents.protocol import AgentInput


@dataclass(frozen=True)
class ProcessTranscript:
    """Turns as digests of what was said in words, which is all that a CLI is told: a conversation may be long."""

    system: str
    turns: tuple[bytes, ...]

    @classmethod
    def before(cls, input: AgentInput) -> ProcessTranscript:
        """What the prompt tells of the conversation so far."""
        return cls(input.extra_system_prompt, _digests(input.history))

    def and_then(self, input: AgentInput, answer: str) -> ProcessTranscript:
        new = input.conversation[len(input.history) :]
        return replace(self, turns=(*self.turns, *_digests((*new, Turn(role="assistant", content=answer)))))

    def is_continued_by(self, input: AgentInput) -> bool:
        """Whether only the message of `input` is new.

        Its history has to be how this conversation ends: the beginning of a long one is forgotten by the session. It
        cannot be empty: then the session has forgotten all of it, and so shall its agent.
        """
        history = _digests(input.history)
        return input.extra_system_prompt == self.system and bool(history) and self.turns[-len(history) :] == history


def _digests(turns: Iterable[Turn]) -> tuple[bytes, ...]:
    return tuple(sha256(f"{turn.role} {turn.content}".encode(errors="replace")).digest() for turn in turns)
