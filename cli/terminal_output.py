"""What is printed: tables and lines for people, JSON for programs. Colours are for terminals only, and none with
NO_COLOR."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from typing import NoReturn

from pydantic import BaseModel
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from cli.cli_error import ExitCode
from cli.text_format import line

WIDE, HIGH = 10_000, 100  # where nobody looks: a table that goes into a pipe is not cut to a terminal's width
WHOLE = 30  # characters of a cell that is not shortened
GAP = 2  # columns between two


class _Screen(Console):
    def on_broken_pipe(self) -> NoReturn:
        """As a program that heeds SIGPIPE: silently. What is still buffered goes nowhere."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(ExitCode.PIPE)


class Output:
    def __init__(self) -> None:
        # Both, because Rich takes a terminal of an unknown kind for one of 80 columns unless it is told both.
        width, height = (None, None) if sys.stdout.isatty() else (WIDE, HIGH)
        self.screen = _Screen(highlight=False, width=width, height=height)
        self._aside = Console(stderr=True, highlight=False)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        self.show(table(columns, rows, self.screen.width))

    def show(self, what: RenderableType) -> None:
        self.screen.print(what)

    def say(self, text: str) -> None:
        self.screen.print(Text(text))

    def json(self, body: BaseModel) -> None:
        """One line."""
        self.raw(body.model_dump_json() + "\n")

    def raw(self, text: str) -> None:
        """At once, as it is."""
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        except BrokenPipeError:
            self.screen.on_broken_pipe()

    def aside(self, text: str) -> None:
        """For the person who watches, not for who reads the output: to stderr, when that is a terminal."""
        if self._aside.is_terminal:
            self._aside.print(Text(text, style="dim"))


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], width: int) -> Table:
    """Cells hold what others wrote: nothing in them is markup, and no terminal obeys it.

    On a narrow terminal long cells are shortened, and then the last columns left out. The first one, which a person
    copies, stays whole.
    """
    cells = [[line(cell) for cell in row] for row in rows]
    longest = [max(len(name), *(cell_len(row[at]) for row in cells), 0) for at, name in enumerate(columns)]
    widths = fitted(longest, width)
    made = Table(box=None, pad_edge=False, header_style="bold")
    for name, size in zip(columns, widths, strict=False):
        made.add_column(name, no_wrap=True, width=size, overflow="ellipsis")
    for row in cells:
        made.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row[: len(widths)]))
    return made


def fitted(longest: Sequence[int], width: int) -> list[int]:
    """How wide each column is made, of those that are shown. Rich itself would shorten all of them alike."""
    widths = [size if at == 0 or size <= WHOLE else WHOLE // 2 for at, size in enumerate(longest)]
    while len(widths) > 1 and sum(widths) + GAP * (len(widths) - 1) > width:
        widths.pop()
    left = max(0, width - sum(widths) - GAP * (len(widths) - 1))
    for at, size in enumerate(widths):
        more = min(left, longest[at] - size)
        widths[at], left = size + more, left - more
    return widths


_STYLES = {
    "failed": "red",
    "lost": "red",
    "bad": "bold red",
    "running": "bold green",
    "completed": "green",
    "serving": "green",
    "ok": "green",
    "warn": "yellow",
    "queued": "yellow",
    "draining": "yellow",
    "drained": "yellow",
    "cancelled": "dim",
    "gone": "dim",
}
