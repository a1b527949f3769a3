"""The conversation of a run as every framework can take it: what was said, in words and pictures.

Calls of a client's own tools are none of the agent's, and models refuse a result without a call that they know. So
both are told in words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from shared.run.run import Part, Turn
from worker.agents.protocol import AgentInput

# Some frameworks fetch a picture themselves, and would read from this machine or its network what a client names.
_PICTURE = re.compile(r"https://\S+|data:image/[\w.+-]+;base64,\S+", re.ASCII)
_WORDS = {"image_url": "[image]", "input_audio": "[audio]", "file": "[file]"}


@dataclass(frozen=True)
class Picture:
    url: str  # https or data


@dataclass(frozen=True)
class Message:
    role: Literal["user", "assistant"]
    content: str | tuple[str | Picture, ...]  # the latter with a picture at least


def conversation(input: AgentInput) -> list[Message]:
    """All of it; the last one is what the agent has to answer."""
    return [message for turn in input.conversation for message in _messages(turn)]


def _messages(turn: Turn) -> Iterator[Message]:
    match turn:
        case Turn(role="tool", content=text):
            yield Message("user", f"Tool result:\n{text}")
        case Turn(role="assistant"):
            if turn.in_words:
                yield Message("assistant", turn.in_words)
        case Turn(role="user", content=text, parts=parts):
            pieces = tuple(map(_piece, parts))
            yield Message("user", pieces if any(isinstance(piece, Picture) for piece in pieces) else text)


def _piece(part: Part) -> str | Picture:
    match part:
        case Part(type="text", value=str(text)):
            return text
        case Part(type="image_url", value={"url": str(url)}) if _PICTURE.fullmatch(url):
            return Picture(url)
        case _:
            return _WORDS.get(part.type, "")
