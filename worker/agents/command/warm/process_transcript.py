"""The conversation that a process has had, with its prompts and answers, to compare with the session's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from hashlib import sha256

from shared.run.run import Turn
from worker.agents.protocol import AgentInput


@dataclass(frozen=True)
class ProcessTranscript:
    """Turns as digests of their text, because a conversation may be long. A CLI gets nothing but the text."""

    system: str
    turns: tuple[bytes, ...]

    @classmethod
    def before(cls, input: AgentInput) -> ProcessTranscript:
        """The conversation that the first prompt holds: the turns before the current one."""
        return cls(input.extra_system_prompt, _digests(input.history))

    def and_then(self, input: AgentInput, answer: str) -> ProcessTranscript:
        new = input.conversation[len(input.history) :]
        return replace(self, turns=(*self.turns, *_digests((*new, Turn(role="assistant", content=answer)))))

    def is_continued_by(self, input: AgentInput) -> bool:
        """Whether only the message of `input` is new to the process.

        This conversation has to end with the history of `input`: a session forgets the beginning of a long one. An
        empty history continues nothing: the session has forgotten the whole conversation, and so must its agent.
        """
        history = _digests(input.history)
        return input.extra_system_prompt == self.system and bool(history) and self.turns[-len(history) :] == history


def _digests(turns: Iterable[Turn]) -> tuple[bytes, ...]:
    return tuple(sha256(f"{turn.role} {turn.content}".encode(errors="replace")).digest() for turn in turns)
