"""The rules that hold for all formats."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from shared.run.errors import ErrorCode, RunError
from shared.run.events import Delta, from_json, make_event, to_json
from tests.worker.agents.asking import text
from tests.worker.agents.command.formats.recorded import FIXTURES, lines, read
from tests.worker.agents.command.test_stdout_parsers import cut
from worker.agents.command.cli_conversation import is_id
from worker.agents.command.formats.format import FormatEvent, Skipped
from worker.agents.command.formats.format_parser import MAX_LINE, FormatParser
from worker.agents.command.formats.format_registry import FORMATS
from worker.agents.protocol import AgentConversation, AgentOutput, Finished

RECORDS = sorted(record for record in FIXTURES.glob("*/*.jsonl") if record.stat().st_size)  # a CLI may print nothing


class Parrot:
    """A format that yields each value of an object, and knows no other key than `say`."""

    def read(self, printed: Mapping[str, object]) -> Iterator[FormatEvent]:
        yield str(printed["say"]) if "say" in printed else Skipped(str(printed.get("type")))

    over = busy = False

    def read_head(self, head: Mapping[str, object]) -> list[FormatEvent] | None:
        return ["(unread)"] if head.get("type") == "tool" else None

    def failure(self, code: int) -> RunError | None:
        return RunError(ErrorCode.AGENT_FAILED, "Too cold.") if code == 41 else None


def test_what_is_no_object_or_not_known_is_skipped_and_told_once() -> None:
    reading = FormatParser("parrot", Parrot())
    banner = b"Welcome!\n[1]\n"
    with capture_logs() as logs:
        said = [*reading.feed(banner + lines([{"say": "a"}, {"type": "x"}, {"type": "x"}])), *reading.end()]
    assert said == [Delta(delta="a")]
    assert logs == [
        {"event": "agent.skipped", "log_level": "info", "format": "parrot", "lines": {"no JSON object": 2, "x": 2}}
    ]


def test_kinds_without_end_are_counted_together() -> None:
    reading = FormatParser("parrot", Parrot())
    assert list(reading.feed(lines({"type": number} for number in range(100)))) == []
    assert len(reading.skipped) == 21
    assert sum(reading.skipped.values()) == 100


def test_a_run_without_unknown_lines_is_not_logged() -> None:
    with capture_logs() as logs:
        reading = FormatParser("parrot", Parrot())
        assert [*reading.feed(b'{"say": "a"}'), *reading.end()] == [Delta(delta="a")]
    assert logs == []


@pytest.mark.parametrize(
    ("code", "outcome"), [(41, "Too cold."), (1, "The agent exited with code 1."), (-9, "SIGKILL")]
)
def test_the_format_knows_more_of_an_exit_code_than_its_number(code: int, outcome: str) -> None:
    with pytest.raises(RunError, match=outcome):
        FormatParser("parrot", Parrot()).ended(code)


@pytest.mark.parametrize("name", FORMATS)
def test_a_line_without_end_fails_the_run_in_every_format(name: str) -> None:
    reading, chunk = FORMATS[name](), b'{"x": "' + b"x" * 1_048_576
    with pytest.raises(RunError) as failed:
        for _ in range(MAX_LINE // len(chunk) + 2):
            list(reading.feed(chunk))
    assert failed.value.code is ErrorCode.OUTPUT_TOO_LARGE


LONG = b'{"type": "tool", "x": "' + b"x" * MAX_LINE + b'"}'


def test_a_line_of_a_tool_that_is_too_long_is_passed_over() -> None:
    reading = FormatParser("parrot", Parrot())
    chunks = [b'{"say": "a"}\n', LONG, LONG, b'"}\n{"say": "b"}\n']
    assert text(event for chunk in chunks for event in reading.feed(chunk)) == "a(unread)b"
    assert reading.skipped == {"too long": 1}


@pytest.mark.parametrize(
    "dirt",
    [
        b"\x1b]0;a title\x07",
        b"\x1b]8;;http://x\x1b\\link\x1b[0m",
        b"\x1b[2K\r\x1b[1;31m",
        b"Working... {really} [3/4] ",
        b"\xff\x00\x08",
        b'{"say": "b"}',
    ],
)
def test_dirt_before_an_object_is_passed_over(dirt: bytes) -> None:
    reading = FormatParser("parrot", Parrot())
    heard = text(reading.feed(b'{"say": "a"}\n' + dirt + b'{"say": "c\\u001b[0m"}\x1b[0m \n'))
    assert heard.replace("b", "") == "ac\x1b[0m"
    assert reading.skipped == {}


def read_all(reading: FormatParser, printed: bytes) -> list[AgentOutput]:
    return [*reading.feed(printed), *reading.end()]


@pytest.mark.parametrize("line", [b'{"type": "text", "say": "a', b'{"type": "x", "say": "a}\n', b'x{"type": "x", 2}\n'])
def test_a_damaged_line_that_may_be_of_the_answer_fails_the_run(line: bytes) -> None:
    reading = FormatParser("parrot", Parrot())
    with pytest.raises(RunError) as failed:
        read_all(reading, line)
    assert failed.value.code is ErrorCode.AGENT_PROTOCOL_ERROR


def test_a_damaged_line_of_a_tool_or_of_nothing_known_is_passed_over() -> None:
    reading = FormatParser("parrot", Parrot())
    assert text(reading.feed(b'{"type": "tool", "x": "a}\n{"debug": 1, 2}\n')) == "(unread)"
    assert reading.skipped == {"damaged": 1, "no JSON object": 1}


def test_half_a_character_is_replaced() -> None:
    reading = FormatParser("parrot", Parrot())
    assert list(reading.feed(b'{"say": "\\ud83d"}\n{"say": "\\ud83d\\ude00"}\n')) == [
        Delta(delta="\ufffd"),
        Delta(delta="\N{GRINNING FACE}"),
    ]


def test_what_is_nested_too_deep_is_skipped() -> None:
    deep = b"[" * 300 + b"]" * 300
    reading = FORMATS["gemini"]()
    line = b'{"type": "tool_use", "tool_name": "x", "tool_id": "1", "parameters": ' + deep + b"}\n"
    assert list(reading.feed(line)) == []
    assert reading.skipped == {"too deep": 1}


# --- every format -----------------------------------------------------------------------------------------------------

WORDS = sorted(
    {word for path in RECORDS for word in path.read_text().split('"') if word.isidentifier() and len(word) < 30}
)
words = st.sampled_from(WORDS) | st.text(max_size=5)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4),
    max_leaves=12,
)


def _objects(path: str) -> list[dict[str, object]]:
    text = (FIXTURES / path).read_text()
    return [json.loads(text)] if path.startswith("openclaw") else [json.loads(line) for line in text.splitlines()]


@st.composite
def near_misses(draw: st.DrawFn, name: str) -> dict[str, object]:
    """A recorded object with one value replaced by another."""
    path = draw(st.sampled_from([path for path in RECORDS if path.parent.name == name]))
    value = draw(st.sampled_from(_objects(f"{name}/{path.name}")))
    place: dict[str, object] = value
    while True:
        key = draw(st.sampled_from(sorted(place) or ["type"]))
        inner = place.get(key)
        if not isinstance(inner, dict) or draw(st.booleans()):
            place[key] = draw(json_values)
            return value
        place = inner


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
@settings(deadline=None)
@given(data=st.data())
def test_no_line_raises_anything_else_and_all_that_is_said_can_be_written(name: str, data: st.DataObject) -> None:
    printed = data.draw(st.lists(st.dictionaries(words, json_values, max_size=4) | near_misses(name), max_size=6))
    reading = FORMATS[name]()
    with contextlib.suppress(RunError):
        for event in (event for chunk in (lines(printed),) for event in (*reading.feed(chunk), *reading.end())):
            if isinstance(event, AgentConversation):
                assert is_id(event.id)
            elif not isinstance(event, Finished):
                written = make_event(event, run_id="r", session_key="s", attempt=1, seq=1, ts=1)
                assert from_json(to_json(written)) == written
        reading.ended(data.draw(st.integers(-64, 255)))


@given(st.sampled_from(RECORDS), st.lists(st.integers(0, 8_000), max_size=5))
def test_a_record_says_the_same_wherever_it_was_cut(record: Path, places: list[int]) -> None:
    printed = record.read_bytes()
    assert outcome(record, cut(printed, places)) == outcome(record, [printed])


def outcome(record: Path, chunks: Iterable[bytes]) -> list[object]:
    """All output, and the failure, if there is one."""
    reading, said = FORMATS[record.parent.name.split("-")[0]](), list[object]()
    try:
        for chunk in chunks:
            said += reading.feed(chunk)
        said += reading.end()
        reading.ended(0)
    except RunError as failure:
        said.append((failure.code, failure.message))
    return said


@pytest.mark.parametrize("name", FORMATS)
def test_silence_is_no_answer(name: str) -> None:
    """An exit code of 0 alone does not make an answer complete."""
    with pytest.raises(RunError, match="ended without the end of its answer") as failed:
        read(name)
    assert failed.value.code is ErrorCode.AGENT_PROTOCOL_ERROR


@pytest.mark.parametrize("name", FORMATS)
def test_a_number_of_an_exit_is_told_when_nothing_else_is_known(name: str) -> None:
    with pytest.raises(RunError, match=r"^The agent exited with code 7.$"):
        read(name, code=7)
