from __future__ import annotations

import pytest

from shared.run.errors import ErrorCode, RunError
from shared.run.events import Delta
from tests.worker.agents.asking import text
from worker.agents.command.formats.single_object import MAX_BYTES, SingleObjectParser
from worker.agents.protocol import AgentEvent


def shout(printed: bytes) -> list[AgentEvent]:
    return [Delta(delta=f"<{printed.decode()}>")]


def read(*chunks: bytes) -> str:
    output = SingleObjectParser(shout)
    return text([*(event for chunk in chunks for event in output.feed(chunk)), *output.end()])


def test_all_is_one_object() -> None:
    assert read(b'{\n  "a', b'": 1\n}\n') == '<{\n  "a": 1\n}\n>'


def test_a_banner_before_it_is_passed_over() -> None:
    assert read(b"Welcome {you}\nto it\n", b"{}") == "<{}>"


def test_a_complete_object_is_read_although_the_cli_stays() -> None:
    output = SingleObjectParser(shout)
    assert text([*output.feed(b'{"a": {}'), *output.feed(b"}\n")]) == '<{"a": {}}\n>'
    assert list(output.end()) == []


def test_nothing_is_nothing() -> None:
    assert read() == read(b" \n") == ""


def test_it_is_bounded() -> None:
    with pytest.raises(RunError) as failed:
        list(SingleObjectParser(shout).feed(b"x" * (MAX_BYTES + 1)))
    assert failed.value.code is ErrorCode.OUTPUT_TOO_LARGE
