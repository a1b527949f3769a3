"""Figures as a benchmark makes them: some goals met by them and some not."""

from __future__ import annotations

from bench.__main__ import TITLES as TITLES
from bench.figures import Figures

_CPU = "CPU s per 100k deltas"

RESULTS: dict[str, dict[str, Figures]] = {
    "first": {
        "ceiling": {"first p50, ms": 1.0, "first p99, ms": 2.0},
        "naive": {"first p50, ms": 280.0, "first p99, ms": 500.0},
        "runrelay": {"first p50, ms": 3.5, "first p99, ms": 40.0},
    },
    "deltas": {"ceiling": {"deltas/s": 100_000.0, _CPU: 1.0}, "runrelay": {"deltas/s": 120_000.0, _CPU: 1.5}},
    "clients": {
        "ceiling": {_CPU: 2.0},
        "runrelay": {
            "first p50, ms": 5.0,
            "first p99, ms": 20.0,
            "delay p50, ms": 1.0,
            "delay p99, ms": 9.0,
            _CPU: 5.0,
        },
    },
    "burst": {"runrelay": {"last first delta, s": 0.5}},
    "short": {"runrelay": {"runs per API CPU s": 800.0}},
    "held": {"runrelay": {"KB per stream": 30.0, "last of all served after, s": 0.4}},
    "idle": {"runrelay": {"commands/s": 39.0}},
    "distant": {"runrelay": {"1 ms away: against beside it, %": 0.5, "50 ms away: against beside it, %": 2.0}},
    "kept": {"runrelay": {"kept, KB": 900.0}},
}
