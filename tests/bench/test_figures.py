from __future__ import annotations

from bench.figures import Figures, medians, p99


def test_medians_are_of_each_figure() -> None:
    assert medians([Figures(a=1, b=9), Figures(a=5, b=2), Figures(a=2, b=3)]) == {"a": 2, "b": 3}


def test_p99_is_near_the_longest_and_not_beyond_it() -> None:
    assert p99([float(n) for n in range(1, 201)]) <= 200
    assert p99([float(n) for n in range(1, 201)]) > 197
    assert p99([3.0]) == 3
