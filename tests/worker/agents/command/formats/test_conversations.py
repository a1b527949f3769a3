"""The CLIs' ids of their conversations, and their output when they should continue one that they do not have."""

from __future__ import annotations

import pytest

from shared.run.errors import RunError
from shared.run.events import Tokens, Usage
from tests.worker.agents.command.formats.recorded import FIXTURES, Record, conversations, lines
from worker.agents.command.formats.format_registry import FORMATS
from worker.agents.command.presets import PRESETS
from worker.agents.protocol import AgentConversation

KEEPERS = sorted(name for name, preset in PRESETS.items() if preset.resume)


@pytest.mark.parametrize("cli", KEEPERS)
@pytest.mark.parametrize("case", ["hello", "note", "limit"])
def test_a_conversation_is_named_once_before_anything_is_said(cli: str, case: str) -> None:
    assert len(set(conversations(cli, case))) == 1
    assert isinstance(Record(cli, case).heard()[0], AgentConversation)


@pytest.mark.parametrize("cli", KEEPERS)
def test_one_that_is_gone_is_not_named_and_is_a_failure(cli: str) -> None:
    record = Record(cli, "gone")
    reading = FORMATS[cli]()
    with pytest.raises(RunError):
        for heard in (*reading.feed((FIXTURES / cli / "gone.jsonl").read_bytes()), *reading.end()):
            assert heard == Usage()
        reading.ended(record.code)
    assert record.code


def test_codex_counts_from_the_beginning_of_its_conversation() -> None:
    last = [heard for heard in Record("codex", "hello").heard() if isinstance(heard, AgentConversation)][-1]
    assert last.spent == Tokens(prompt_tokens=12, completion_tokens=9)


def test_a_name_that_could_be_an_option_is_passed_over() -> None:
    reading = FORMATS["codex"]()
    assert list(reading.feed(lines([{"type": "thread.started", "thread_id": "--last"}]))) == []
    assert reading.skipped == {"strange conversation": 1}


def test_a_conversation_that_goes_over_into_another_is_told() -> None:
    started = [{"type": "thread.started", "thread_id": name} for name in ("a", "a", "b")]
    assert list(FORMATS["codex"]().feed(lines(started))) == [AgentConversation(id="a"), AgentConversation(id="b")]
