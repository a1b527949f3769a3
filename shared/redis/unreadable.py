"""What Redis holds and no release can read: it is logged once, counted, and either passed over or raised as Unreadable.

Rule 1: each record, event and entry is parsed by itself, inside one of these walls. So one that cannot be read takes no
other with it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from types import TracebackType
from typing import Literal, Protocol, TypeVar

import structlog

from shared.run.errors import Unreadable

logger = structlog.get_logger()

Kind = Literal["run", "event", "end", "turn", "conversation", "worker", "web", "audit", "tally", "order"]

Item = TypeVar("Item")
Parsed = TypeVar("Parsed")

REMEMBERED = 1_000  # entries that are not logged again; a list may be read every second

# What a parser raises for any input. An error of Redis is none of these.
UNREADABLE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)


class UnreadableInstrumentation(Protocol):
    def unreadable(self, kind: str) -> None: ...


class _PassedOver(suppress):
    def __init__(self, note: Callable[[BaseException], None]) -> None:
        super().__init__(*UNREADABLE)
        self._note = note

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        passed = super().__exit__(kind, error, trace)
        if passed and error is not None:
            self._note(error)
        return passed


class Unreadables:
    """Each process has one for each Redis it reads from."""

    def __init__(self, instrumentation: UnreadableInstrumentation) -> None:
        self._instrumentation = instrumentation
        self._seen: OrderedDict[tuple[str, str], None] = OrderedDict()

    def passed_over(self, kind: Kind, name: str) -> suppress:
        """Ends the block quietly when what it parses cannot be read. `name` says which one that is."""
        return _PassedOver(partial(self._note, kind, name))

    def readable(self, kind: Kind, named: Iterable[tuple[str, Item]], parse: Callable[[Item], Parsed]) -> list[Parsed]:
        """What `parse` makes of each item, without those that cannot be read. Each item has a name."""
        parsed = list[Parsed]()
        for name, item in named:
            with self.passed_over(kind, name):
                parsed.append(parse(item))
        return parsed

    @contextmanager
    def raised(self, kind: Kind, name: str) -> Iterator[None]:
        """Raises Unreadable when what the block parses cannot be read."""
        try:
            yield
        except UNREADABLE as why:
            self._note(kind, name, why)
            raise Unreadable(f"{kind} {name}") from why

    def _note(self, kind: Kind, name: str, why: BaseException) -> None:
        if (kind, name) in self._seen:
            return
        self._seen[kind, name] = None
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        self._instrumentation.unreadable(kind)
        logger.warning("redis.unreadable", kind=kind, name=name, why=type(why).__name__)
