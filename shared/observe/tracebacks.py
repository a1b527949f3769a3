"""Exceptions for the log: where and of which type, but not in their words.

What an exception says is often what it was given: a missing key, a failed parse and a wrong path all repeat it. That is
a client's prompt or an agent's answer as soon as an agent raises.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from textwrap import indent

from structlog.typing import ExcInfo

HIDDEN = "(LOG_CONTENT=1 shows what it says)"


def traceback_without_messages(exc_info: ExcInfo) -> str:
    """A traceback as Python prints it, but for the exceptions' own texts; of an OSError, what the system says of it."""
    _, error, _ = exc_info
    return "\n".join(_chain(error, set()))


def _chain(error: BaseException, told: set[int]) -> Iterator[str]:
    told.add(id(error))  # a chain may bite its own tail
    earlier = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if earlier is not None and id(earlier) not in told:
        yield from _chain(earlier, told)
        yield "\nAfter which, or because of which:\n"
    yield "Traceback (most recent call last):"
    yield "".join(traceback.format_tb(error.__traceback__)).rstrip()
    yield f"{_name(type(error))}: {_words(error)}"
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield indent("\n".join(_chain(one, told)), "  | ")


def _name(kind: type[BaseException]) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _words(error: BaseException) -> str:
    system = error.strerror if isinstance(error, OSError) and error.errno is not None else None
    return f"{system} {HIDDEN}" if isinstance(system, str) else HIDDEN
