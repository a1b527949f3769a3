"""Draws the figures as pictures for a page: SVG without scripts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from math import ceil, floor, log10
from xml.etree.ElementTree import Element

import pygal
from pygal.graph.graph import Graph
from pygal.style import Style

from bench.figures import Figures
from bench.goals import Results
from bench.growing import CORES, PARTS, PER_RUN
from bench.report import SERVICES, number

SERVICE_COLOURS = ("#9aa5b1", "#e8912d", "#2563eb")
PART_COLOURS = ("#2563eb", "#16a34a", "#dc2626", "#9aa5b1")

_CPU = "CPU s per 100k deltas"


def plots(results: Results) -> dict[str, str]:
    """The pictures by their names, from the results of a whole benchmark."""
    return {
        "waiting": _waiting(results),
        "cpu": _compared(
            "CPU seconds per 100,000 deltas, all processes of the service",
            {"1 client, 2,000 deltas at once": ("deltas", _CPU), "100 clients, one every 20 ms": ("clients", _CPU)},
            results,
        ),
        "streams": _delays(results["busy"]),
        "cores": _stacked("Cores in use, by number of streams with 20 deltas/s", results["busy"], CORES),
        "runs": _stacked("CPU ms per run of 1 delta, by number of clients", results["load"], PER_RUN),
    }


def _waiting(results: Results) -> str:
    bars = {
        "first content, 1 client, p50": ("first", "first p50, ms"),
        "first content, 1 client, p99": ("first", "first p99, ms"),
        "first content, 100 clients, p50": ("clients", "first p50, ms"),
        "first content, 100 clients, p99": ("clients", "first p99, ms"),
        "delay of a delta, 100 clients, p50": ("clients", "delay p50, ms"),
        "delay of a delta, 100 clients, p99": ("clients", "delay p99, ms"),
    }
    return _compared("Milliseconds of waiting (each step is ten times the one before)", bars, results, ten_fold=True)


def _compared(title: str, bars: Mapping[str, tuple[str, str]], results: Results, *, ten_fold: bool = False) -> str:
    """`bars`: a case and a figure for each label. The first bar is the uppermost, in the order of reading."""
    upwards = list(reversed(list(bars.items())))
    chart = pygal.HorizontalBar(**_options(SERVICE_COLOURS, height=120 + 80 * len(bars)), logarithmic=ten_fold)
    chart.x_labels = [label for label, _ in upwards]
    for service in SERVICES:
        chart.add(service, [results[case][service][figure] for _, (case, figure) in upwards])
    if ten_fold:
        _by_tens(chart, [results[case][service][figure] for case, figure in bars.values() for service in SERVICES])
    return _drawn(chart, title)


def _delays(streams: Mapping[str, Figures]) -> str:
    chart = pygal.Line(**_options(PART_COLOURS), logarithmic=True)
    chart.x_labels = list(streams)
    delays = {name: [figures[f"{name}, ms"] for figures in streams.values()] for name in ("delay p50", "delay p99")}
    for name, values in delays.items():
        chart.add(name, values)
    _by_tens(chart, list(chain(*delays.values())))
    return _drawn(chart, "Milliseconds from a delta's emission to its arrival, by number of streams")


def _by_tens(chart: Graph, values: Sequence[float]) -> None:
    """Sets an axis from one power of ten to another, with lines at powers of ten only."""
    powers = range(floor(log10(min(values))), ceil(log10(max(values))) + 1)
    chart.zero = 10.0 ** powers[0]
    chart.range = (chart.zero, 10.0 ** powers[-1])
    chart.y_labels = [10.0**power for power in powers]


def _stacked(title: str, columns: Mapping[str, Figures], name: str) -> str:
    chart = pygal.StackedBar(**_options(PART_COLOURS))
    chart.x_labels = list(columns)
    for part in PARTS:
        chart.add(part, [figures[name.format(part=part)] for figures in columns.values()])
    return _drawn(chart, title)


def _drawn(chart: Graph, title: str) -> str:
    chart.title = title
    chart.uuid = "plot"  # with a random one, equal figures would make another picture each time
    chart.add_xml_filter(_bare)
    return str(chart.render(is_unicode=True))


def _bare(svg: Element) -> Element:
    """Removes the script, which no page runs, and the comment with the date."""
    for element in list(svg):
        if callable(element.tag):  # the tag of a comment is the function that makes comments
            svg.remove(element)
    for parent in list(svg.iter()):
        for script in parent.findall("script"):
            parent.remove(script)
    return svg


def _options(colours: Sequence[str], *, height: int = 400) -> dict[str, object]:
    style = Style(
        background="white",
        plot_background="white",
        colors=colours,
        font_family="Helvetica, Arial, sans-serif",
        title_font_size=18,
        label_font_size=14,
        major_label_font_size=14,
        legend_font_size=14,
        value_font_size=13,
        opacity=1,
    )
    return {
        "style": style,
        "width": 900,
        "height": height,
        "js": [],
        "legend_at_bottom": True,
        "legend_at_bottom_columns": 4,
        "print_values": True,
        "value_formatter": number,
        "margin_right": 60,  # for the number at the end of the longest bar
        "margin_bottom": 40,
    }
