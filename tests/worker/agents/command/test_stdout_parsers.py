from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.run.errors import ErrorCode, RunError
from shared.run.events import Delta
from tests.worker.agents.asking import text
from worker.agents.command.stdout_parsers import MAX_LINE, LinesParser, OutputParser, TextParser
from worker.agents.protocol import AgentOutput


def cut(data: bytes, places: Iterable[int]) -> Iterator[bytes]:
    ends = sorted({min(place, len(data)) for place in places} | {0, len(data)})
    return (data[a:b] for a, b in pairwise(ends))


def read(output: OutputParser, chunks: Iterable[bytes]) -> list[AgentOutput]:
    return [*(event for chunk in chunks for event in output.feed(chunk)), *output.end()]


def shout(line: bytes) -> list[AgentOutput]:
    return [Delta(delta=f"<{line.decode()}>")]


places = st.lists(st.integers(0, 80))


@given(st.text(max_size=40), places)
def test_text_is_the_same_wherever_it_was_cut(written: str, places: list[int]) -> None:
    assert text(read(TextParser(), cut(written.encode(), places))) == written


@given(st.binary(max_size=40), places)
def test_bytes_that_are_no_text_are_replaced(written: bytes, places: list[int]) -> None:
    assert text(read(TextParser(), cut(written, places))) == written.decode(errors="replace")


def test_a_character_comes_when_it_is_complete_and_nothing_comes_empty() -> None:
    output = TextParser()
    snowman = "\N{SNOWMAN}".encode()
    assert list(output.feed(b"a" + snowman[:1])) == [Delta(delta="a")]
    assert list(output.feed(snowman[1:2])) == []
    assert list(output.feed(snowman[2:])) == [Delta(delta="\N{SNOWMAN}")]
    assert list(output.end()) == []


@given(st.lists(st.text("ab\r\u2028\N{SNOWMAN}", min_size=1), max_size=8), places)
def test_lines_end_at_newlines_and_nowhere_else(lines: list[str], places: list[int]) -> None:
    written = "".join(f"{line}\n" for line in lines).encode()
    whole = "".join(f"<{line}>" for line in lines if line.encode().strip())
    assert text(read(LinesParser(shout), cut(written, places))) == whole


def test_the_last_line_needs_no_end_and_blank_lines_say_nothing() -> None:
    assert text(read(LinesParser(shout), [b"\n  \na\n\r\n\nb"])) == "<a><b>"


def test_a_line_at_the_bound_passes() -> None:
    line = b"x" * MAX_LINE
    assert text(read(LinesParser(shout), [line, b"\n"])) == f"<{line.decode()}>"


@pytest.mark.parametrize("ending", [b"", b"\n"])
def test_a_line_over_the_bound_fails_the_run_after_what_came_before(ending: bytes) -> None:
    """It fails even before the end of the line comes, so that memory is bounded."""
    said = LinesParser(shout).feed(b"first\n" + b"x" * (MAX_LINE + 1) + ending)
    assert next(said) == Delta(delta="<first>")
    with pytest.raises(RunError) as failure:
        next(said)
    assert failure.value.code is ErrorCode.OUTPUT_TOO_LARGE
