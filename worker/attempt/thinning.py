"""Thins out the activity of an agent once it exceeds its budget: tools, reasoning and usage. Pure.

Activity never ends a run: an agent that reads many files is no reason to lose its answer. The log keeps the activity
from the beginning until the budget is used up, and the last event of each kind; `Omitted` counts the events in between.

An update of a tool tells how far the tool is, often with everything that the tool has printed so far. So updates may
use only a part of the budget: a tool that prints for an hour leaves room for those that follow.
"""

from __future__ import annotations

from collections.abc import Iterator

from shared.run.events import Omitted, Reasoning, ToolUse, Usage

Activity = ToolUse | Reasoning | Usage

UPDATES_PART = 4  # updates may use the budget divided by this


class Thinning:
    def __init__(self, budget: int) -> None:
        """`budget` is in characters of JSON."""
        self._left = budget
        self._for_updates = budget // UPDATES_PART
        self._last: dict[str, tuple[Activity, int]] = {}  # the last event of each kind that was left out, and its size
        self._events = self._chars = 0  # left out

    def admitted(self, event: Activity, chars: int) -> bool:
        """Whether the log gets `event`, of so many characters, now."""
        update = isinstance(event, ToolUse) and event.phase == "update"
        if chars <= self._left and not (update and chars > self._for_updates):
            self._left -= chars
            self._for_updates -= chars if update else 0
            return True
        kind = f"{event.stream} {event.phase if isinstance(event, ToolUse) else ''}"
        self._last.pop(kind, None)
        self._last[kind] = event, chars
        self._events, self._chars = self._events + 1, self._chars + chars
        return False

    def rest(self) -> Iterator[Activity | Omitted]:
        """What the log gets at the end, besides the answer: the count of what was left out, then the last events."""
        if not self._events:
            return
        last, self._last = list(self._last.values()), {}
        yield Omitted(events=self._events - len(last), chars=self._chars - sum(chars for _, chars in last))
        yield from (event for event, _ in last)
