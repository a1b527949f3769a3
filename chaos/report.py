"""The counts and the measured times of all rounds, as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import median, quantiles

from chaos.checker import MUST_BE_ZERO, IndexedHistory, counted, violations
from chaos.history import History
from chaos.times import TIMES

RECOVERY_MS = 3_000  # a fault still affects runs that the API accepts this soon after it was mended


@dataclass
class Totals:
    seconds: float = 0.0
    happened: Counter[str] = field(default_factory=Counter)
    broken_by: Counter[str] = field(default_factory=Counter)
    times: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in TIMES})

    @property
    def broken(self) -> bool:
        return any(self.broken_by.values())

    def add(self, history: History, seconds: float) -> None:
        self.seconds += seconds
        self.happened.update(dict(_happened(history)))
        self.broken_by.update(counted(violations(history)))
        for name, measure in TIMES.items():
            self.times[name] += measure(history)


def _happened(history: History) -> Iterator[tuple[str, int]]:
    counts: Counter[str] = Counter()
    counts["runs accepted"] = len(history.stored_runs)
    counts["runs that felt a fault"] = sum(_felt(history))
    for run in history.stored_runs:
        last = run.entries[-1] if run.entries else None
        counts[f"  ended as {run.state} {(last and (last.code or last.reason)) or ''}".rstrip()] += 1
    readings = [reading for request in history.requests for reading in request.readings]
    counts["readers"] = len(readings)
    counts["  connections they needed"] = sum(len(reading.pieces) for reading in readings)
    for reading in readings:
        counts[f"  ended as {reading.outcome}" if reading.outcome == "stop" else f"  told {reading.outcome}"] += 1
    counts["agents started"] = sum(note.event == "start" for note in history.notes)
    counts["  too late, by a worker that was paused"] = len(list(IndexedHistory(history).late()))
    counts["faults"] = len(history.faults)
    for fault in history.faults:
        counts[f"  {fault.kind}"] += 1
    yield from counts.items()


def _felt(history: History) -> Iterator[bool]:
    spans = [(fault.begun, fault.mended + RECOVERY_MS) for fault in history.faults]
    for run in history.stored_runs:
        end = max((entry.at for entry in run.entries), default=run.accepted)
        yield any(begun <= end and run.accepted <= over for begun, over in spans)


def rendered(totals: Totals) -> str:
    lines = [f"{totals.seconds:.0f} s", "", *(f"{size:>9,}  {what}" for what, size in totals.happened.items())]
    lines += [
        "",
        "must be zero",
        *(f"{totals.broken_by[what]:>9,}  {what}" for what in MUST_BE_ZERO),
        "",
        "times in ms",
    ]
    lines += [f"  {name}: {_spread(times)}" for name, times in totals.times.items()]
    return "\n".join(lines)


def _spread(times: list[float]) -> str:
    if len(times) < 2:
        return f"{len(times)} measured"
    hundredths = quantiles(times, n=100, method="inclusive")
    return f"median {median(times):,.0f}, p99 {hundredths[98]:,.0f}, longest {max(times):,.0f}, of {len(times):,}"
