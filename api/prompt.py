"""Chat messages as a prompt: what is asked now, what came before, and what the system says.

The current turn is what follows the last answer: its last user text, and the results of tools, in order. An
answer at the very end is passed over, and the question before it is asked again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import compress
from operator import not_
from typing import Literal

from pydantic import JsonValue

from api import failures
from shared.run import Turn
from shared.text import js_trim

Role = Literal["user", "assistant", "tool"]

_ROLES: dict[str, Role] = {"user": "user", "assistant": "assistant", "tool": "tool", "function": "tool"}
_SYSTEM = {"system", "developer"}
_PARAGRAPH = "\n\n"


@dataclass(frozen=True, slots=True)
class Prompt:
    """`message` is the current turn; `history` the turns before it, oldest first."""

    message: str
    extra_system_prompt: str = ""
    history: tuple[Turn, ...] = ()


def read_prompt(messages: JsonValue) -> Prompt:
    """Raises Failure 400 when no user says anything."""
    said = list(_said(messages))
    turns = [Turn(role=_ROLES[role], content=text) for role, text in said if role in _ROLES]
    if _last("user", turns) < 0:
        raise failures.missing_user_message()
    while turns[-1].role == "assistant":
        turns.pop()
    history, current = _divide(turns)
    system = (text for role, text in said if role in _SYSTEM)
    return Prompt(_PARAGRAPH.join(map(_shown, current)), _PARAGRAPH.join(system), tuple(history))


def _said(messages: JsonValue) -> Iterator[tuple[str, str]]:
    """Role and text of each message that has both."""
    for message in messages if isinstance(messages, list) else []:
        if isinstance(message, dict) and isinstance(role := message.get("role"), str):
            text = js_trim(_text(message.get("content")))
            if text:
                yield js_trim(role), text


def _text(content: JsonValue) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(filter(None, map(_part, content))) if isinstance(content, list) else ""


def _part(part: JsonValue) -> str:
    if not isinstance(part, dict):
        return ""
    text = part.get("text") if part.get("type") in ("text", "input_text") else None
    return next((value for value in (text, part.get("input_text")) if isinstance(value, str)), "")


def _divide(turns: Sequence[Turn]) -> tuple[list[Turn], list[Turn]]:
    """History and current turn. Of several user texts since the last answer, only the last is asked now."""
    begin, asked = _last("assistant", turns) + 1, _last("user", turns)
    now = [i >= begin and (i == asked or turn.role == "tool") for i, turn in enumerate(turns)]
    return list(compress(turns, map(not_, now))), list(compress(turns, now))


def _last(role: Role, turns: Sequence[Turn]) -> int:
    return max((i for i, turn in enumerate(turns) if turn.role == role), default=-1)


def _shown(turn: Turn) -> str:
    """A user's text stays as it is; an agent that gets one text has to see which part of it a tool said."""
    return f"Tool result:\n{turn.content}" if turn.role == "tool" else turn.content
