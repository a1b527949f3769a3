"""What is measured: named figures of one case on one service, and over several rounds their medians."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median, quantiles

Figures = dict[str, float]


def p50(values: Iterable[float]) -> float:
    return median(values)


def p99(values: Iterable[float]) -> float:
    ordered = sorted(values)
    return quantiles(ordered, n=100, method="inclusive")[-1] if len(ordered) > 1 else ordered[0]


def medians(rounds: Sequence[Figures]) -> Figures:
    """Of each figure over the rounds."""
    return {name: median(figures[name] for figures in rounds) for name in rounds[0]}
