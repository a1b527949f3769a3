"""Reads chat messages as a prompt: the current turn, the history before it, and the system prompt.

The current turn consists of the messages after the last assistant message: the last user text and the results of tools,
in order. Assistant messages at the very end are dropped, so that the agent gets the user text before them again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import compress
from operator import not_
from typing import Literal

from pydantic import JsonValue

from api.http import api_errors
from shared.run.json_object import JsonObject, too_deep
from shared.run.run import Part, ToolCall, Turn
from shared.run.text import js_trim

Role = Literal["user", "assistant", "tool"]

_SYSTEM = {"system", "developer"}
_PARAGRAPH = "\n\n"

# The text of a message that has none, for an agent that reads only text.
_NAMES = {"image_url": "[image]", "input_audio": "[audio]", "file": "[file]"}


@dataclass(frozen=True, slots=True)
class Prompt:
    """`message` is the current turn as text. `current` is the current turn in full when text cannot hold all of it,
    otherwise empty. `history` holds the turns before it, oldest first."""

    message: str
    extra_system_prompt: str = ""
    history: tuple[Turn, ...] = ()
    current: tuple[Turn, ...] = ()


def read_prompt(messages: JsonValue) -> Prompt:
    """The prompt of a request's `messages`. Raises ApiError 400 when no user message has content, or when a value is
    nested too deeply."""
    with_roles = list(_with_roles(messages))
    turns = [turn for role, message in with_roles if (turn := _turn(role, message))]
    if _last("user", turns) < 0:
        raise api_errors.missing_user_message()
    while turns[-1].role == "assistant":
        turns.pop()
    history, current = _divide(turns)
    system = filter(None, (_text(message) for role, message in with_roles if role in _SYSTEM))
    full = current if any(turn.parts or turn.tool_call_id for turn in current) else ()
    return Prompt(_PARAGRAPH.join(map(_shown, current)), _PARAGRAPH.join(system), tuple(history), tuple(full))


def _with_roles(messages: JsonValue) -> Iterator[tuple[str, JsonObject]]:
    """The role and the message, for each message that has a role."""
    for message in messages if isinstance(messages, list) else []:
        if isinstance(message, dict) and isinstance(role := message.get("role"), str):
            yield js_trim(role), message


def _turn(role: str, message: JsonObject) -> Turn | None:
    """None for a role that makes no turn, and for an empty message."""
    text = _text(message)
    match role:
        case "user":
            parts = tuple(_parts(message.get("content")))
            media = [_NAMES[part.type] for part in parts if part.type in _NAMES]
            content = text or "\n".join(media)
            return Turn(role="user", content=content, parts=parts if media else ()) if content else None
        case "assistant":
            listed = message.get("tool_calls")
            calls = tuple(filter(None, map(_call, listed if isinstance(listed, list) else [])))
            return Turn(role="assistant", content=text, tool_calls=calls) if text or calls else None
        case "tool" | "function":
            call = _string(message.get("tool_call_id"))  # with this id, an empty text is a tool's result, too
            return Turn(role="tool", content=text, tool_call_id=call) if text or call else None
        case _:
            return None


def _text(message: JsonObject) -> str:
    content = message.get("content")
    if isinstance(content, list):
        content = "\n".join(filter(None, map(_text_of_part, content)))
    return js_trim(content) if isinstance(content, str) else ""


def _text_of_part(part: JsonValue) -> str:
    if not isinstance(part, dict):
        return ""
    text = part.get("text") if part.get("type") in ("text", "input_text") else None
    return next((value for value in (text, part.get("input_text")) if isinstance(value, str)), "")


def _parts(content: JsonValue) -> Iterator[Part]:
    for part in content if isinstance(content, list) else []:
        if text := _text_of_part(part):
            yield Part(type="text", value=text)
        elif media := _media(part):
            _check_depth(media.value)
            yield media


def _media(part: JsonValue) -> Part | None:
    match part:
        case {"type": "image_url" | "input_image", "image_url": str(url)}:
            return Part(type="image_url", value={"url": url})
        case {"type": "image_url", "image_url": dict(value)}:
            return Part(type="image_url", value=value)
        case {"type": "input_audio", "input_audio": dict(value)}:
            return Part(type="input_audio", value=value)
        case {"type": "file", "file": dict(value)}:
            return Part(type="file", value=value)
        case _:
            return None


def _call(call: JsonValue) -> ToolCall | None:
    if not isinstance(call, dict):
        return None
    match call.get("id"), call.get("function"):
        case str(id), {"name": str(name), "arguments": str(arguments)} if id:
            extra = {key: value for key, value in call.items() if key not in ("id", "type", "index", "function")}
            _check_depth(extra)
            return ToolCall(id=id, name=name, arguments=arguments, extra=extra)
        case _:
            return None


def _check_depth(passed_on: JsonValue) -> None:
    if too_deep(passed_on):
        raise api_errors.invalid_value("messages", "holds a value that is nested too deeply")


def _divide(turns: Sequence[Turn]) -> tuple[list[Turn], list[Turn]]:
    """History and current turn. Of several user texts after the last assistant message, only the last one is in the
    current turn."""
    begin, last_user = _last("assistant", turns) + 1, _last("user", turns)
    now = [i >= begin and (i == last_user or turn.role == "tool") for i, turn in enumerate(turns)]
    return list(compress(turns, map(not_, now))), list(compress(turns, now))


def _last(role: Role, turns: Sequence[Turn]) -> int:
    return max((i for i, turn in enumerate(turns) if turn.role == role), default=-1)


def _shown(turn: Turn) -> str:
    """A user's text unchanged, and a tool's result under a heading: an agent that gets one text has to see which part
    of it a tool returned."""
    return f"Tool result:\n{turn.content}" if turn.role == "tool" else turn.content


def _string(value: JsonValue) -> str:
    return value if isinstance(value, str) else ""
