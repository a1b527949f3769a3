"""The conversation of a run in a form that every framework accepts: text and pictures.

The agent does not know a client's own tools, and models refuse a result without a call that they know. So the calls of
such tools and their results become text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from shared.run.run import Part, Turn
from worker.agents.protocol import AgentInput

# Some frameworks fetch a picture themselves, and a client's address could name a file or server of our own network.
_PICTURE = re.compile(r"https://\S+|data:image/[\w.+-]+;base64,\S+", re.ASCII)
_WORDS = {"image_url": "[image]", "input_audio": "[audio]", "file": "[file]"}


@dataclass(frozen=True)
class Picture:
    url: str  # https or data


@dataclass(frozen=True)
class Message:
    role: Literal["user", "assistant"]
    content: str | tuple[str | Picture, ...]  # a tuple holds at least one picture


def conversation(input: AgentInput) -> list[Message]:
    """All messages. The agent has to answer the last one."""
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
