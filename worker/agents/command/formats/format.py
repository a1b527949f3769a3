"""The seam between `FormatParser`, which all CLIs share, and the formats, one file for each CLI.

A format takes the JSON objects that its CLI prints, in order, and yields the events that they mean. It is pure, trusts
no shape, and raises nothing but RunError. It yields `Skipped` for an object that it does not know.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from shared.run.errors import RunError
from shared.run.events import FinishReason, Reasoning, ToolUse, Usage
from worker.agents.protocol import AgentConversation, Finished

Object = Mapping[str, object]


@dataclass(frozen=True)
class NewMessage:
    """The text that follows belongs to another assistant message. Without text it leaves no trace."""


@dataclass(frozen=True)
class Skipped:
    """An object that the format does not know. `kind` is the object's own name for its type."""

    kind: str


@dataclass(frozen=True)
class BrokenOff:
    """The current assistant message broke off: its text is no part of the answer. Another message follows."""


NEW_MESSAGE = NewMessage()
BROKEN_OFF = BrokenOff()

# A str is text of the current assistant message, append-only.
FormatEvent = str | NewMessage | BrokenOff | ToolUse | Reasoning | Usage | Finished | AgentConversation | Skipped


class Format(Protocol):
    """Reads the output of one run of a CLI."""

    @property
    def over(self) -> bool:
        """Whether the CLI has told its end, and has no work of its own under way that would lead to another."""
        ...

    @property
    def busy(self) -> bool:
        """Whether the CLI waits for work that it has begun in the background, and may be silent meanwhile."""
        ...

    def read(self, printed: Object) -> Iterable[FormatEvent]:
        """Takes the next object. Raises RunError when the object reports a final failure."""
        ...

    def read_head(self, head: Object) -> Iterable[FormatEvent] | None:
        """Takes the beginning of an object that cannot be read: it is too long or damaged. None when it may hold a part
        of the answer, or its end; the result of a tool is none."""
        ...

    def failure(self, code: int) -> RunError | None:
        """Why the answer is not complete after the CLI ended with exit code `code`. None when it is complete, or when
        the format knows no more than the code."""
        ...


def skipped(printed: Object, *names: str) -> Skipped:
    """`printed` as skipped, by its `type` and its fields `names`."""
    return Skipped(" ".join(str(printed.get(name))[:40] for name in ("type", *names)))


def finished(reason: object) -> Finished:
    """The finish reason for the one that the model's API gave; `stop` for a reason that does not concern clients."""
    return Finished(reason=_REASONS.get(reason, FinishReason.STOP) if isinstance(reason, str) else FinishReason.STOP)


_REASONS = {
    "length": FinishReason.LENGTH,
    "max_tokens": FinishReason.LENGTH,
    "content-filter": FinishReason.CONTENT_FILTER,
    "refusal": FinishReason.CONTENT_FILTER,
}


def objects(value: object) -> list[Object]:
    """The objects in a list; none if `value` is not a list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def unread(name: str, call: str) -> ToolUse:
    """The result of a tool whose line cannot be read."""
    note = {"omitted": "the agent's line about it cannot be read"}
    return ToolUse(phase="result", name=name, tool_call_id=call, result=note)
