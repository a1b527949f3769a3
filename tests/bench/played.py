"""Figures like those of a whole benchmark. They meet some goals and miss others."""

from __future__ import annotations

from bench.__main__ import TITLES as TITLES
from bench.figures import Figures
from bench.record import Record

_CPU = "CPU s per 100k deltas"


def _clients(scale: float) -> Figures:
    return {
        "first p50, ms": 5.0 * scale,
        "first p99, ms": 20.0 * scale,
        "delay p50, ms": 1.0 * scale,
        "delay p99, ms": 9.0 * scale,
        _CPU: 5.0 * scale,
    }


def _parts(name: str) -> Figures:
    return {f"{name}: API": 0.4, f"{name}: workers": 0.5, f"{name}: Redis": 0.1, f"{name}: client": 0.05}


RESULTS: dict[str, dict[str, Figures]] = {
    "first": {
        "ceiling": {"first p50, ms": 1.0, "first p99, ms": 2.0},
        "naive": {"first p50, ms": 280.0, "first p99, ms": 500.0},
        "runrelay": {"first p50, ms": 3.5, "first p99, ms": 40.0},
    },
    "deltas": {
        "ceiling": {"deltas/s": 100_000.0, _CPU: 1.0},
        "naive": {"deltas/s": 6_000.0, _CPU: 24.0},
        "runrelay": {"deltas/s": 120_000.0, _CPU: 1.5},
    },
    "clients": {"ceiling": _clients(0.2), "naive": _clients(100), "runrelay": _clients(1)},
    "burst": {"ceiling": {"last first delta, s": 0.2}, "runrelay": {"last first delta, s": 0.5}},
    "short": {"ceiling": {"runs per API CPU s": 2_700.0}, "runrelay": {"runs per API CPU s": 800.0}},
    "held": {"runrelay": {"KB per stream": 30.0, "last of all served after, s": 0.4}},
    "readers": {"runrelay": {"last of all served after, s": 0.3}},
    "idle": {"runrelay": {"commands/s": 39.0}},
    "distant": {"runrelay": {"1 ms away: against beside it, %": 0.5, "50 ms away: against beside it, %": 2.0}},
    "slow": {"runrelay": {"delay p99 beside it, times that without": 1.01, "API memory grown, KB": 1_000.0}},
    "kept": {"runrelay": {"written, KB": 2_000.0, "kept, KB": 900.0}},
    "busy": {
        count: {
            "delay p50, ms": 2.0 * scale,
            "delay p99, ms": 10.0 * scale,
            "the slowest stream's delay p50, ms": 3.0 * scale,
            **_parts("cores"),
        }
        for count, scale in (("100", 1), ("400", 9), ("1,000", 90))
    },
    "load": {clients: {"runs/s": 250.0, **_parts("CPU ms per run")} for clients in ("1", "20", "320")},
    "scaling": {"1 API, 1 worker": {"runs/s": 250.0, **_parts("cores")}},
}

RECORD = Record("2026-01-31", "2 cores of a machine", 0.1, 480.0, 5, RESULTS)
