"""Counts of tokens, as agents and models' servers write them."""

from __future__ import annotations

from shared.run.events import Usage


def token_count(value: object) -> int:
    """A number of tokens; 0 if `value` is not one."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**53 else 0


def token_usage(*, prompt: int, completion: int) -> Usage:
    return Usage(prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion)
