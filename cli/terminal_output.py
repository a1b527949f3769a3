"""The output of commands: tables and lines for people, JSON for programs. It has colours on a terminal only, and none
with NO_COLOR.
"""

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

WIDE, HIGH = 10_000, 100  # of a pipe: a table that goes into one is not cut to a terminal's width
WHOLE = 30  # characters of a cell that is not shortened
GAP = 2  # columns between two


class _Screen(Console):
    def on_broken_pipe(self) -> NoReturn:
        """Ends silently, like a program that SIGPIPE ends. Discards buffered output."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(ExitCode.PIPE)


class Output:
    def __init__(self) -> None:
        # Both are set, because Rich takes a terminal of an unknown kind for one of 80 columns unless it gets both.
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
        """Prints the value as JSON on one line."""
        self.raw(body.model_dump_json() + "\n")

    def raw(self, text: str) -> None:
        """Prints the text unchanged and at once."""
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        except BrokenPipeError:
            self.screen.on_broken_pipe()

    def remark(self, text: str) -> None:
        """Prints to stderr what a user should know and a program need not."""
        self._aside.print(Text(text, style="yellow"))

    def aside(self, text: str) -> None:
        """Prints a remark to stderr if that is a terminal: for a user who watches, not for a program that reads."""
        if self._aside.is_terminal:
            self._aside.print(Text(text, style="dim"))


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], width: int) -> Table:
    """A table for a screen of `width` columns. Clients wrote parts of the cells, so markup and control characters in
    them have no effect.

    On a narrow terminal the table shortens long cells, and then leaves out the last columns. The first column, which
    users copy, stays whole.
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
    """The widths of the columns that fit into `width`. Rich itself would shorten all columns alike."""
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
