"""The seam between `Reading`, which all CLIs share, and the formats, one file for each CLI.

A format takes the JSON objects that its CLI prints, in order, and says what they mean. It is pure, trusts no shape,
and raises nothing but RunError: what it does not know it yields as `Skipped`.
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
    """What follows belongs to another assistant message. Without text it leaves no trace."""


@dataclass(frozen=True)
class Skipped:
    """An object that the format does not know. `kind` is what it calls itself."""

    kind: str


NEW_MESSAGE = NewMessage()

# A str is text of the current assistant message, append-only.
FormatEvent = str | NewMessage | ToolUse | Reasoning | Usage | Finished | AgentConversation | Skipped


class Format(Protocol):
    """The meaning of what one run of a CLI prints."""

    def read(self, printed: Object) -> Iterable[FormatEvent]:
        """Takes the next object. Raises RunError when the CLI tells that it has failed for good."""
        ...

    def failure(self, code: int) -> RunError | None:
        """Why there is no whole answer, when the CLI has ended with exit code `code`; None when there is one, or
        when the code says all that is known."""
        ...


def skipped(printed: Object, *names: str) -> Skipped:
    """`printed` by its `type`, and by what else it is called."""
    return Skipped(" ".join(str(printed.get(name))[:40] for name in ("type", *names)))


def finished(reason: object) -> Finished:
    """Why the model has stopped, in the words of its API; `stop` where it is of no concern to a client."""
    return Finished(reason=_REASONS.get(reason, FinishReason.STOP) if isinstance(reason, str) else FinishReason.STOP)


_REASONS = {
    "length": FinishReason.LENGTH,
    "max_tokens": FinishReason.LENGTH,
    "content-filter": FinishReason.CONTENT_FILTER,
    "refusal": FinishReason.CONTENT_FILTER,
}


def objects(value: object) -> list[Object]:
    """The objects of a list; none of what is no list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def token_count(value: object) -> int:
    """A number of tokens, 0 for what is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**53 else 0


def token_usage(*, prompt: int, completion: int) -> Usage:
    return Usage(prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion)
