"""The prompt of a command that takes plain text.

With no system prompt and no history it is exactly the message. Otherwise it has up to three sections, without the empty
ones:

    [System]
    You are terse.

    [Conversation so far]
    User: Hello

    Assistant: Hi.

    [Current message]
    How are you?

This is for reading, not for parsing: a message may hold such a heading itself. A command that has to tell the sections
apart takes `input = "json"`.
"""

from __future__ import annotations

from shared.run.run import Turn
from worker.agents.protocol import AgentInput

_ROLES = {"user": "User", "assistant": "Assistant", "tool": "Tool result"}
_PARAGRAPH = "\n\n"


def render(input: AgentInput) -> str:
    if not input.extra_system_prompt and not input.history:
        return input.message
    sections = {
        "System": input.extra_system_prompt,
        "Conversation so far": _PARAGRAPH.join(map(_turn, input.history)),
        "Current message": input.message,
    }
    return _PARAGRAPH.join(f"[{title}]\n{text}" for title, text in sections.items() if text)


def _turn(turn: Turn) -> str:
    return f"{_ROLES[turn.role]}: {turn.in_words}"
