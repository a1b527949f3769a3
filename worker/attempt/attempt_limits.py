"""The limits of an agent's attempts, from its table in agents.toml."""

from __future__ import annotations

from dataclasses import dataclass

from shared.run.output_bounds import ACTIVITY_CHARS, ANSWER_CHARS


@dataclass(frozen=True)
class AttemptLimits:
    """`answer_chars` bounds the answer: its text and the calls of the client's tools. A run that exceeds it fails.
    `activity_chars` bounds what else the log keeps; the emitter thins out what exceeds it."""

    timeout_seconds: float
    answer_chars: int = ANSWER_CHARS
    activity_chars: int = ACTIVITY_CHARS
