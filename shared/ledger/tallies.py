"""Counts over time: runs accepted and ended, how long runs waited, how many deltas the agents wrote. The ledger's
scripts count as they run, by the minute for an hour and by quarters of an hour for a day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from shared.ledger.ledger_script import ledger_script
from shared.redis.keys import TALLIES, Keys
from shared.redis.pipe import Pipe
from shared.redis.replies import Reply, items, mapping, text


class Window(StrEnum):
    HOUR = "hour"
    DAY = "day"


_SPANS = {Window.HOUR: ("minute", 60), Window.DAY: ("quarter", 96)}

_WAIT = "wait:"


@dataclass(frozen=True)
class TallySpan:
    """The counts of the `seconds` from `at_ms` on. `waits` maps the class of a wait (see `bound_ms`) to how many runs
    waited so long for a worker."""

    at_ms: int
    seconds: int
    accepted: int
    completed: int
    failed: int
    cancelled: int
    deltas: int  # writes of text, by all workers, which report them every ANNOUNCE_SECONDS
    running: int  # the highest number that any worker's announcement found
    waiting: int  # likewise
    waits: Mapping[int, int]

    @property
    def wait_p50_ms(self) -> float | None:
        return quantile(self.waits, 0.5)

    @property
    def wait_p95_ms(self) -> float | None:
        return quantile(self.waits, 0.95)


class Tallies:
    def __init__(self, pipe: Pipe, keys: Keys) -> None:
        self._pipe = pipe
        self._history = ledger_script("history", keys)

    async def spans(self, window: Window) -> list[TallySpan]:
        """The spans of a window, oldest first. The last one has not ended, so its counts still grow."""
        name, number = _SPANS[window]
        reply = await self._pipe.run(self._history, args=(name, number))
        named = ((f"{name} {place}", span) for place, span in enumerate(items(reply)))
        return self._pipe.unreadables.readable("tally", named, lambda span: _span(span, TALLIES[name][0] // 1000))


def _span(reply: Reply, seconds: int) -> TallySpan:
    began, *flat = items(reply)
    counts = {name: int(count) for name, count in mapping(flat).items()}
    return TallySpan(
        at_ms=int(text(began)),
        seconds=seconds,
        waits={int(name.removeprefix(_WAIT)): count for name, count in counts.items() if name.startswith(_WAIT)},
        **{name: counts.get(name, 0) for name in _COUNTED},
    )


_COUNTED = ("accepted", "completed", "failed", "cancelled", "deltas", "running", "waiting")


def bound_ms(wait_class: int) -> float:
    """The longest wait of a class; `claim.lua` sorts them. Each is 1.4 times the one before it."""
    return float(2 ** (wait_class / 2) - 1)


def quantile(waits: Mapping[int, int], part: float) -> float | None:
    """The wait in ms that this part (0 to 1) of the runs did not exceed, interpolated between the bounds of its class.
    None without runs."""
    place, passed = part * sum(waits.values()), 0
    for wait_class, count in sorted(waits.items()):
        if passed + count >= place > 0:
            low, high = bound_ms(max(0, wait_class - 1)), bound_ms(wait_class)
            return low + (high - low) * (place - passed) / count
        passed += count
    return None
