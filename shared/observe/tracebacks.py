"""Exceptions for the log: their place and type, but not their message.

The message of an exception often repeats its input: a missing key, a text that fails to parse, a wrong path. When an
agent raises, that input is a client's prompt or an agent's answer.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from textwrap import indent

from structlog.typing import ExcInfo

HIDDEN = "(LOG_CONTENT=1 shows what it says)"


def traceback_without_messages(exc_info: ExcInfo) -> str:
    """A traceback as Python prints it, but without the exceptions' messages. An OSError keeps the system's text of its
    error number."""
    _, error, _ = exc_info
    return "\n".join(_chain(error, set()))


def _chain(error: BaseException, shown: set[int]) -> Iterator[str]:
    shown.add(id(error))  # a chain may be a circle
    earlier = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if earlier is not None and id(earlier) not in shown:
        yield from _chain(earlier, shown)
        yield "\nAfter which, or because of which:\n"
    yield "Traceback (most recent call last):"
    yield "".join(traceback.format_tb(error.__traceback__)).rstrip()
    yield f"{_name(type(error))}: {_message(error)}"
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield indent("\n".join(_chain(one, shown)), "  | ")


def _name(kind: type[BaseException]) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _message(error: BaseException) -> str:
    system = error.strerror if isinstance(error, OSError) and error.errno is not None else None
    return f"{system} {HIDDEN}" if isinstance(system, str) else HIDDEN
