from __future__ import annotations

import pytest

from bench.goals import GOALS, Goal
from tests.bench.played import RESULTS, TITLES

SEEN = {"case": {"ceiling": {"f": 2.0}, "runrelay": {"f": 5.0}, "1,000": {"f": 7.0}}}


@pytest.mark.parametrize(
    ("goal", "reached"),
    [
        (Goal("case", "f", 1), 5),
        (Goal("case", "f", 1, than="above"), 3),
        (Goal("case", "f", 1, than="times"), 2.5),
        (Goal("case", "f", column="1,000"), 7),
        (Goal("case", "f", column="2,000"), None),
        (Goal("other", "f"), None),
    ],
)
def test_a_figure_is_told_in_the_terms_of_its_goal(goal: Goal, reached: float | None) -> None:
    assert goal.reached(SEEN) == reached


def test_a_goal_is_met_up_to_its_limit_and_not_beyond() -> None:
    assert Goal("case", "f", 3).met(3)
    assert not Goal("case", "f", 3).met(3.1)
    assert Goal("case", "f", 3, at_least=True).met(3)
    assert not Goal("case", "f", 3, at_least=True).met(2.9)


def test_every_goal_is_of_a_case_that_there_is() -> None:
    for goal in GOALS:
        assert goal.case in TITLES
        assert goal.reached(RESULTS) is not None
