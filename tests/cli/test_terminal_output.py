from __future__ import annotations

import io

from rich.console import Console

from cli.terminal_output import table

RUN = "chatcmpl_663b9bc1-5d1d-4207-9f62-935e51007444"
SESSION = "agent:main:openai:829bad29-67b0-4bc1-bb56-68d1e536df1c"


def drawn(width: int, *rows: tuple[str, ...]) -> list[str]:
    console = Console(width=width, highlight=False, file=io.StringIO(), record=True)
    console.print(table(("ID", "STATE", "SESSION", "OWNER"), rows, width))
    return [line.rstrip() for line in console.export_text().splitlines()]


def test_there_is_room_for_all() -> None:
    assert drawn(500, (RUN, "completed", SESSION, "alice"))[1].split() == [RUN, "completed", SESSION, "alice"]


def test_long_cells_give_way_first_and_then_the_last_columns() -> None:
    """The first column, which users copy, stays whole."""
    header, row = drawn(90, (RUN, "completed", SESSION, "alice"))
    assert header.split() == ["ID", "STATE", "SESSION", "OWNER"]
    assert row.split()[:2] == [RUN, "completed"]
    assert row.endswith("alice")
    assert SESSION not in row
    header, row = drawn(60, (RUN, "completed", SESSION, "alice"))
    assert (header.split(), row.split()) == (["ID", "STATE"], [RUN, "completed"])
    assert drawn(10, (RUN, "completed", SESSION, "alice"))[0].split() == ["ID"]


def test_a_table_without_rows_has_a_head() -> None:
    assert drawn(80)[0].split() == ["ID", "STATE", "SESSION", "OWNER"]


def test_what_others_wrote_is_no_markup() -> None:
    (_, row) = drawn(200, (RUN, "failed", "[bold]x[/bold] [/] \x1b[31m", "a"))
    assert "[bold]x[/bold] [/]" in row
    assert "\x1b" not in row
