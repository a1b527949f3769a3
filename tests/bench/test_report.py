from __future__ import annotations

import pytest

from bench.compared import CASES
from bench.goals import GOALS
from bench.report import goals, limit, tables
from tests.bench.played import RESULTS, TITLES


def test_every_goal_is_told_with_its_figure_and_whether_it_is_met() -> None:
    _, _, *rows = goals(RESULTS, TITLES).splitlines()
    assert len(rows) == len(GOALS)
    assert len([row for row in rows if row.endswith(("| met |", "| **missed** |"))]) == len(
        [goal for goal in GOALS if goal.limit is not None]
    )


def test_a_row_has_the_figures_of_all_services_and_the_ratio_to_the_ceiling() -> None:
    table = goals(RESULTS, TITLES)
    assert "| deltas/s | 100,000 | 6,000 | 120,000 | 1.2 | ≥ 1 times the ceiling | 1.2 | met |" in table
    assert "| first p99, ms | 2 | 500 | 40 | 20 | ≤ 10 above the ceiling | 38 | **missed** |" in table
    assert "| KB per stream |  |  | 30 |  | ≤ 40 | 30 | met |" in table


def test_a_row_without_a_goal_is_only_told() -> None:
    assert "| written, KB |  |  | 2,000 |  |  |  |  |" in goals(RESULTS, TITLES)


def test_a_service_that_was_not_played_has_no_column() -> None:
    head = goals({"idle": RESULTS["idle"]}, TITLES).splitlines()[0]
    assert "runrelay" in head
    assert "naive" not in head


def test_a_case_that_was_not_played_is_left_out() -> None:
    first = {CASES[0].name: RESULTS[CASES[0].name]}
    assert TITLES["burst"] not in goals(first, TITLES) + tables(first, TITLES)


def test_each_case_is_a_table_of_its_services_or_of_what_has_grown() -> None:
    text = tables(RESULTS, TITLES)
    assert "|  | ceiling | naive | runrelay | times ceiling |" in text
    assert "| delay p99, ms | 10 | 90 | 900 |" in text


@pytest.mark.parametrize(("most", "begin"), [(3, "Up to 400 streams"), (0, "With no number of streams")])
def test_the_limit_is_the_last_number_of_streams_that_come_in_time(most: int, begin: str) -> None:
    streams = RESULTS["busy"] if most else {"1,000": RESULTS["busy"]["1,000"]}
    assert limit(streams).startswith(begin)
