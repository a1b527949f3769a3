"""The figures as a page: the goals first, then each case as a table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from bench.figures import Figures
from bench.goals import GOALS, Goal, Results

SERVICES = ("ceiling", "naive", "runrelay")


def page(results: Results, titles: Mapping[str, str]) -> str:
    parts = [_table(("work", "figure", "goal", "measured", ""), _goals(results, titles))]
    parts += [f"### {titles[case]}\n\n{_figures(services)}" for case, services in results.items()]
    return "\n\n".join(parts) + "\n"


def _goals(results: Results, titles: Mapping[str, str]) -> Iterator[Sequence[str]]:
    for goal in GOALS:
        figure = goal.of(results)
        if figure is not None:
            met = "met" if goal.met(figure) else "**missed**"
            yield titles[goal.case], goal.what, _bound(goal), _number(figure), met


def _bound(goal: Goal) -> str:
    return f"{'≥' if goal.at_least else '≤'} {_number(goal.limit)}"


def _figures(services: Mapping[str, Figures]) -> str:
    names = list(dict.fromkeys(name for figures in services.values() for name in figures))
    present = [service for service in SERVICES if service in services]
    rows = ([name, *(_number(services[s].get(name)) for s in present)] for name in names)
    return _table(("", *present), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _number(figure: float | None) -> str:
    """Three digits that count."""
    if figure is None:
        return ""
    return f"{figure:,.0f}" if abs(figure) >= 100 else f"{figure:.3g}"
