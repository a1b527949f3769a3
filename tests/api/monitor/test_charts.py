from __future__ import annotations

import pytest

from api.monitor.charts import HEIGHT, WIDTH, build_charts, ceiling
from shared.ledger.operator_views import SpanView


def spans(*completed: int, wait: float | None = None) -> list[SpanView]:
    return [
        SpanView(
            at_ms=i * 60_000,
            seconds=60,
            accepted=number,
            completed=number,
            failed=0,
            cancelled=0,
            running=number,
            waiting=0,
            wait_p50_ms=wait,
            wait_p95_ms=wait,
            deltas_per_second=0.5,
        )
        for i, number in enumerate(completed)
    ]


def coordinates(path: str) -> list[tuple[float, float]]:
    points = path.replace("Z", "").replace("M", "L").split("L")
    return [(float(x), float(y)) for x, y in (point.split() for point in points if point)]


def test_what_is_plotted() -> None:
    assert [(plot.title, [line.name for line in plot.lines]) for plot in build_charts(spans(1, 2))] == [
        ("Throughput", ["accepted", "completed", "failed", "cancelled"]),
        ("Wait for a worker", ["p95", "p50"]),
        ("Running and waiting", ["running", "waiting"]),
        ("Text", ["deltas/s"]),
    ]


def test_more_is_higher_and_all_is_in_the_box() -> None:
    (_, completed, *_) = build_charts(spans(0, 7, 20))[0].lines
    points = coordinates(completed.path)
    assert len(points) == 3
    assert points[0][1] > points[1][1] > points[2][1]
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in coordinates(completed.area))


def test_a_quarter_of_an_hour_is_told_by_the_minute() -> None:
    (span,) = spans(30)
    throughput = build_charts([span.model_copy(update={"seconds": 900})])[0]
    assert throughput.lines[1].latest == "2"


def test_where_nothing_was_measured_there_is_a_hole() -> None:
    series = [*spans(1, 1, wait=5.0), *spans(1), *spans(1, wait=7.0)]
    wait = build_charts(series)[1].lines[1]
    assert wait.path.count("M") == 2
    assert len(coordinates(wait.path)) == 4  # the lone one is as wide as its span
    assert build_charts(spans(1))[1].lines[0].path == ""


def test_what_is_said_of_each_span_and_of_the_whole() -> None:
    throughput = build_charts(spans(3, 4))[0]
    assert throughput.slots[1].told == "00:01 UTC: accepted 4, completed 4, failed 0, cancelled 0"
    assert throughput.told == "Throughput: accepted 4, completed 4, failed 0, cancelled 0"


def test_without_anything_there_is_an_empty_plot() -> None:
    assert [line.path for plot in build_charts([]) for line in plot.lines] == [""] * 9


@pytest.mark.parametrize(
    ("highest", "top"), [(0, 1), (1, 1), (1.1, 2), (3, 5), (6, 10), (10, 10), (11, 20), (999, 1000)]
)
def test_the_scale_has_round_numbers(highest: float, top: float) -> None:
    assert ceiling(highest) == top
