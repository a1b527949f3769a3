"""Writes the figures into docs/performance.md, between two comments. The rest of the page is written by hand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bench.plots import plots
from bench.record import Record
from bench.report import goals, limit, tables
from tests.e2e.process import ROOT

PAGE = ROOT / "docs/performance.md"
PICTURES = "performance"  # the folder beside the page
BEGIN = "<!-- `make bench` writes what follows. -->"
END = "<!-- `make bench` wrote what precedes. -->"


def publish(record: Record, titles: Mapping[str, str], page: Path = PAGE) -> None:
    """Writes the figures of a whole benchmark into the page, and its pictures and JSON beside it. Raises ValueError
    when the page has no place for them, and then writes nothing.
    """
    text = filled(page.read_text(), figures(record, titles))
    pictures = plots(record.results)
    page.write_text(text)
    page.with_suffix(".json").write_bytes(record.to_json())
    for name, picture in pictures.items():
        page.with_name(PICTURES).mkdir(exist_ok=True)
        (page.with_name(PICTURES) / f"{name}.svg").write_text(picture)


def recorded(page: Path = PAGE) -> Record:
    return Record.of(page.with_suffix(".json").read_bytes())


def filled(page: str, figures: str) -> str:
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end) or BEGIN in rest or END in after:
        raise ValueError(
            f"the page must have one line {BEGIN!r} and after it one line {END!r}: figures go between them"
        )
    return f"{before}{BEGIN}\n\n{figures}\n\n{END}{after}"


def figures(record: Record, titles: Mapping[str, str]) -> str:
    results = record.results
    return f"""\
Taken on {record.taken} on {record.machine}.

The benchmark took {record.seconds / 60:.0f} minutes. The load average before it was {record.busy:.2f}: other work on the machine is part of
the figures. The figures of the three services are medians of {record.rounds} rounds.

{goals(results, titles)}

{_picture("waiting", "Waiting for the first content, and delay of each delta, of the three services")}

{_picture("cpu", "CPU per 100,000 deltas of the three services")}

{_picture("streams", "Delay of a delta as streams become more")}

{limit(results["busy"])}

{_picture("cores", "Cores used by each part as streams become more")}

{_picture("runs", "CPU per run of each part as clients become more")}

<details><summary>All figures</summary>

{tables(results, titles)}

</details>"""


def _picture(name: str, title: str) -> str:
    return f"![{title}]({PICTURES}/{name}.svg)"
