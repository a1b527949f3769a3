"""Charts as values: the coordinates of their lines in a box of fixed size. A template makes SVG of them, CSS gives them
colour. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from api.monitor import formatting
from shared.ledger.operator_views import SpanView

WIDTH, HEIGHT = 320, 96
_LEFT, _TOP, _BOTTOM = 0, 6, 16  # room for the labels of the axes


@dataclass(frozen=True)
class Line:
    name: str
    tone: str  # CSS class
    path: str  # SVG path of the line; interrupted where there is no value
    area: str  # SVG path of the area under the line
    latest: str


@dataclass(frozen=True)
class Slot:
    """A span of time in a chart: its place, and its values as text."""

    x: float
    width: float
    told: str


@dataclass(frozen=True)
class Mark:
    x: float
    label: str


@dataclass(frozen=True)
class Chart:
    key: str
    title: str
    unit: str
    top: str  # the number at the upper edge
    lines: tuple[Line, ...]
    slots: tuple[Slot, ...]
    marks: tuple[Mark, ...]

    @property
    def told(self) -> str:
        """The chart as text, for screen readers."""
        return f"{self.title}: " + ", ".join(f"{line.name} {line.latest}" for line in self.lines)


Read = Callable[[SpanView], float | None]
Show = Callable[[float | None], str]


@dataclass(frozen=True)
class _Kind:
    name: str
    tone: str
    read: Read


def build_charts(series: Sequence[SpanView]) -> tuple[Chart, ...]:
    """The charts of a series of spans, oldest first."""
    per_minute = 60 / series[-1].seconds if series else 1
    return (
        _plot(
            "throughput",
            "Throughput",
            "runs/min",
            series,
            formatting.format_number,
            _Kind("accepted", "accepted", lambda span: span.accepted * per_minute),
            _Kind("completed", "completed", lambda span: span.completed * per_minute),
            _Kind("failed", "failed", lambda span: span.failed * per_minute),
            _Kind("cancelled", "cancelled", lambda span: span.cancelled * per_minute),
        ),
        _plot(
            "wait",
            "Wait for a worker",
            "",
            series,
            formatting.format_duration,
            _Kind("p95", "p95", lambda span: span.wait_p95_ms),
            _Kind("p50", "p50", lambda span: span.wait_p50_ms),
        ),
        _plot(
            "running",
            "Running and waiting",
            "runs",
            series,
            formatting.format_number,
            _Kind("running", "running", lambda span: span.running),
            _Kind("waiting", "queued", lambda span: span.waiting),
        ),
        _plot(
            "deltas",
            "Text",
            "deltas/s",
            series,
            formatting.format_number,
            _Kind("deltas/s", "running", lambda span: span.deltas_per_second),
        ),
    )


def _plot(key: str, title: str, unit: str, series: Sequence[SpanView], show: Show, *kinds: _Kind) -> Chart:
    values = [[kind.read(span) for span in series] for kind in kinds]
    top = ceiling(max((value for line in values for value in line if value is not None), default=0))
    lines = (_line(kind, line, top, show) for kind, line in zip(kinds, values, strict=True))
    step = WIDTH / max(1, len(series))
    slots = (
        Slot(_round(i * step), _round(step), _described(span, [(kind.name, show(kind.read(span))) for kind in kinds]))
        for i, span in enumerate(series)
    )
    return Chart(key, title, unit, show(top), tuple(lines), tuple(slots), _marks(series, step))


def ceiling(highest: float) -> float:
    """The first of 1, 2, 5, 10, 20, 50 ... that is not below `highest`, so that the scale stays while values move."""
    if highest <= 1:
        return 1
    power = 10.0 ** math.floor(math.log10(highest))
    return next(float(power * step) for step in (1, 2, 5, 10) if highest <= power * step)


def _line(kind: _Kind, values: Sequence[float | None], top: float, show: Show) -> Line:
    step = WIDTH / max(1, len(values))
    base = HEIGHT - _BOTTOM
    path, area = "", ""
    for start, piece in _pieces(values):
        points = [(_round((start + i + 0.5) * step), _round(base - value / top * (base - _TOP))) for i, value in piece]
        if len(points) == 1:  # a dot, as wide as its span
            points = [(_round(points[0][0] - step / 2), points[0][1]), (_round(points[0][0] + step / 2), points[0][1])]
        joined = "L".join(f"{x} {y}" for x, y in points)
        path += f"M{joined}"
        area += f"M{points[0][0]} {base}L{joined}L{points[-1][0]} {base}Z"
    return Line(kind.name, kind.tone, path, area, show(values[-1] if values else None))


def _pieces(values: Sequence[float | None]) -> list[tuple[int, list[tuple[int, float]]]]:
    """The stretches without a missing value: the index at which each begins, and its values, counted from there."""
    pieces: list[tuple[int, list[tuple[int, float]]]] = []
    whole = False
    for i, value in enumerate(values):
        if value is not None:
            if not whole:
                pieces.append((i, []))
            start, piece = pieces[-1]
            piece.append((i - start, value))
        whole = value is not None
    return pieces


def _marks(series: Sequence[SpanView], step: float) -> tuple[Mark, ...]:
    quarters = [len(series) * part // 4 for part in (1, 2, 3)] if len(series) >= 4 else []
    return tuple(Mark(_round((i + 0.5) * step), formatting.format_clock(series[i].at_ms)) for i in quarters)


def _described(span: SpanView, values: Sequence[tuple[str, str]]) -> str:
    return f"{formatting.format_clock(span.at_ms)} UTC: " + ", ".join(f"{name} {value}" for name, value in values)


def _round(number: float) -> float:
    return round(number, 1)
