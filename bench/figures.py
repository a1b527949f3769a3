"""Figures: named numbers of one case on one service, and their medians over several rounds."""

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
    """The median of each figure over the rounds, which have the same names."""
    return {name: median(figures[name] for figures in rounds) for name in rounds[0]}
