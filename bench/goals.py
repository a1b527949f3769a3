"""The goals for the figures, absolute or relative to the ceiling's. Each is a row of the report's first table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from bench.figures import Figures

Results = Mapping[str, Mapping[str, Figures]]  # by case, and by service or by what has grown


@dataclass(frozen=True)
class Goal:
    """`than` is what the limit bounds: the figure itself, its difference to the ceiling's, or its ratio to the
    ceiling's. A goal without a limit only shows the figure.
    """

    case: str
    figure: str
    limit: float | None = None
    than: Literal["itself", "above", "times"] = "itself"
    at_least: bool = False
    column: str = "runrelay"

    def reached(self, results: Results) -> float | None:
        """What the limit bounds, or None when it was not measured."""
        played = results.get(self.case, {})
        if self.column not in played:
            return None
        own = played[self.column][self.figure]
        if self.than == "itself":
            return own
        ceiling = played["ceiling"][self.figure]
        return own - ceiling if self.than == "above" else own / ceiling

    def met(self, reached: float) -> bool:
        if self.limit is None:
            return True
        return reached >= self.limit if self.at_least else reached <= self.limit


GOALS = (
    Goal("first", "first p50, ms", 3, than="above"),
    Goal("first", "first p99, ms", 10, than="above"),
    Goal("deltas", "deltas/s", 1, than="times", at_least=True),
    Goal("deltas", "CPU s per 100k deltas", 1, than="times"),
    Goal("clients", "first p50, ms", 6),
    Goal("clients", "first p99, ms", 25),
    Goal("clients", "delay p50, ms", 1.5),
    Goal("clients", "delay p99, ms", 8),
    Goal("clients", "CPU s per 100k deltas", 3, than="times"),
    Goal("burst", "last first delta, s", 0.7),
    Goal("short", "runs per API CPU s", 700, at_least=True),
    Goal("held", "KB per stream", 40),
    Goal("held", "last of all served after, s", 0.5),
    Goal("readers", "last of all served after, s", 0.5),
    Goal("busy", "delay p99, ms", column="1,000"),
    Goal("busy", "the slowest stream's delay p50, ms", column="1,000"),
    Goal("busy", "cores: API", column="1,000"),
    Goal("idle", "commands/s", 40),
    Goal("distant", "1 ms away: against beside it, %", 1),
    Goal("distant", "50 ms away: against beside it, %", 3),
    Goal("slow", "delay p99 beside it, times that without", 1.1),  # as near to "unchanged" as two measurements come
    Goal("slow", "API memory grown, KB", 4_194),  # the most that one reader's inbox holds
    Goal("kept", "written, KB"),
    Goal("kept", "kept, KB", 50),
)
