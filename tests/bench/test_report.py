from __future__ import annotations

from bench.compared import CASES
from bench.figures import Figures, medians, p99
from bench.goals import GOALS
from bench.report import page
from tests.bench.played import RESULTS, TITLES


def test_every_goal_is_told_with_its_figure_and_whether_it_is_met() -> None:
    rows = [line for line in page(RESULTS, TITLES).splitlines() if "| ≤" in line or "| ≥" in line]
    assert len(rows) == len(GOALS)
    assert any("| met |" in row for row in rows)
    assert any("| **missed** |" in row for row in rows)


def test_a_case_that_was_not_played_is_left_out() -> None:
    first = {name: services for name, services in RESULTS.items() if name == CASES[0].name}
    assert "burst" not in page(first, TITLES)


def test_medians_are_of_each_figure() -> None:
    assert medians([Figures(a=1, b=9), Figures(a=5, b=2), Figures(a=2, b=3)]) == {"a": 2, "b": 3}


def test_p99_is_near_the_longest_and_not_beyond_it() -> None:
    assert p99([float(n) for n in range(1, 201)]) <= 200
    assert p99([float(n) for n in range(1, 201)]) > 197
    assert p99([3.0]) == 3
