"""What the figures are to be, each as a row of the table: runrelay's own figure, or against the ceiling's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bench.figures import Figures

Results = Mapping[str, Mapping[str, Figures]]  # by case and service


@dataclass(frozen=True)
class Goal:
    case: str
    what: str
    limit: float
    measured: Callable[[Figures, Figures], float]  # of runrelay and of the ceiling, which has none for a trial
    at_least: bool = False

    def of(self, results: Results) -> float | None:
        """The figure; None when the case was not played."""
        played = results.get(self.case, {})
        return self.measured(played["runrelay"], played.get("ceiling", {})) if "runrelay" in played else None

    def met(self, figure: float) -> bool:
        return figure >= self.limit if self.at_least else figure <= self.limit


def _own(name: str) -> Callable[[Figures, Figures], float]:
    return lambda own, _: own[name]


def _above(name: str) -> Callable[[Figures, Figures], float]:
    return lambda own, ceiling: own[name] - ceiling[name]


def _times(name: str) -> Callable[[Figures, Figures], float]:
    return lambda own, ceiling: own[name] / ceiling[name]


_CPU = "CPU s per 100k deltas"

GOALS = (
    Goal("first", "first content after the ceiling's, p50, ms", 3, _above("first p50, ms")),
    Goal("first", "the same, p99, ms", 10, _above("first p99, ms")),
    Goal("deltas", "deltas/s, times the ceiling's", 1, _times("deltas/s"), at_least=True),
    Goal("deltas", "CPU per delta, times the ceiling's", 1, _times(_CPU)),
    Goal("clients", "first content, p50, ms", 6, _own("first p50, ms")),
    Goal("clients", "first content, p99, ms", 25, _own("first p99, ms")),
    Goal("clients", "delay of a delta, p50, ms", 1.5, _own("delay p50, ms")),
    Goal("clients", "delay of a delta, p99, ms", 8, _own("delay p99, ms")),
    Goal("clients", "CPU per delta, times the ceiling's", 3, _times(_CPU)),
    Goal("burst", "last first delta, s", 0.7, _own("last first delta, s")),
    Goal("short", "runs/s per API core", 700, _own("runs per API CPU s"), at_least=True),
    Goal("held", "memory per stream, KB", 40, _own("KB per stream")),
    Goal("held", "one delta to all 5,000, s", 0.5, _own("last of all served after, s")),
    Goal("idle", "Redis commands/s", 40, _own("commands/s")),
    Goal("distant", "Redis 1 ms away: longer by, %", 1, _own("1 ms away: against beside it, %")),
    Goal("distant", "Redis 50 ms away: longer by, %", 3, _own("50 ms away: against beside it, %")),
    Goal("kept", "kept in Redis, KB", 50, _own("kept, KB")),
)
