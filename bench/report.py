"""The figures as Markdown: the goals first, then each case as a table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from bench.figures import Figures
from bench.goals import GOALS, Goal, Results

SERVICES = ("ceiling", "naive", "runrelay")
AGAINST = "times ceiling"
CALM = 100.0  # ms; with a longer p99 of a delta's delay there are too many streams


def goals(results: Results, titles: Mapping[str, str]) -> str:
    services = [name for name in SERVICES if any(name in columns for columns in results.values())]
    rows, before = [], ""
    for goal, reached in _reached(results):
        title = titles[goal.case] if goal.column == "runrelay" else f"{titles[goal.case]}: {goal.column}"
        rows.append(("" if title == before else title, *_row(goal, results[goal.case], reached, services)))
        before = title
    return _table(("work", "figure", *services, AGAINST, "goal", "reached", ""), rows)


def _reached(results: Results) -> Iterator[tuple[Goal, float]]:
    for goal in GOALS:
        reached = goal.reached(results)
        if reached is not None:
            yield goal, reached


def _row(goal: Goal, columns: Mapping[str, Figures], reached: float, services: Iterable[str]) -> Iterator[str]:
    known = {**columns, "runrelay": columns[goal.column]}
    yield goal.figure
    yield from (number(known.get(service, {}).get(goal.figure)) for service in services)
    yield number(_against(goal.figure, known))
    if goal.limit is None:
        yield from ("", "", "")
        return
    terms = {"itself": "", "above": " above the ceiling", "times": " times the ceiling"}[goal.than]
    yield f"{'≥' if goal.at_least else '≤'} {number(goal.limit)}{terms}"
    yield number(reached)
    yield "met" if goal.met(reached) else "**missed**"


def _against(figure: str, columns: Mapping[str, Figures]) -> float | None:
    ceiling = columns.get("ceiling", {}).get(figure)
    return columns["runrelay"][figure] / ceiling if ceiling else None


def tables(results: Results, titles: Mapping[str, str]) -> str:
    return "\n\n".join(f"### {titles[case]}\n\n{_figures(columns)}" for case, columns in results.items())


def _figures(columns: Mapping[str, Figures]) -> str:
    """A table with a column for each service, or for each step of a growth."""
    names = list(dict.fromkeys(name for figures in columns.values() for name in figures))
    present = [service for service in SERVICES if service in columns] or list(columns)
    rows = [[name, *(number(columns[column].get(name)) for column in present)] for name in names]
    if "ceiling" not in columns:
        return _table(("", *present), rows)
    against = [number(_against(name, columns)) for name in names]
    return _table(("", *present, AGAINST), ([*row, times] for row, times in zip(rows, against, strict=True)))


def limit(streams: Mapping[str, Figures]) -> str:
    """A sentence with the largest number of streams whose deltas arrive in time."""
    calm = [count for count, figures in streams.items() if figures["delay p99, ms"] <= CALM]
    most = f"Up to {calm[-1]} streams" if calm else "With no number of streams"
    return f"{most} of those tried 99 of 100 deltas arrive within {CALM:.0f} ms."


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def number(figure: float | None) -> str:
    """The figure with three significant digits; empty for None."""
    if figure is None:
        return ""
    return f"{figure:,.0f}" if abs(figure) >= 100 else f"{figure:.3g}"
