from __future__ import annotations

import pytest

from shared.run.errors import RunError
from shared.run.events import Delta, Usage
from tests.worker.agents.command.formats.recorded import CODES, failure, read, said


def test_text_comes_at_the_end() -> None:
    assert said("openclaw", "hello") == [
        Usage(prompt_tokens=12, completion_tokens=9, total_tokens=21),
        Delta(delta="Hello from the model, said in several pieces."),
    ]


def test_tools_and_what_was_said_before_them_are_not_told() -> None:
    assert said("openclaw", "note") == [
        Usage(prompt_tokens=70, completion_tokens=16, total_tokens=86),
        Delta(delta="The note is written."),
    ]


def test_thoughts_are_not_told() -> None:
    assert said("openclaw", "thinking") == [
        Usage(prompt_tokens=13, completion_tokens=8, total_tokens=21),
        Delta(delta="Now I have thought."),
    ]


def test_the_limit_of_an_answer_is_a_message() -> None:
    usage, text, notice = said("openclaw", "limit")
    assert usage == Usage(prompt_tokens=14, completion_tokens=7, total_tokens=21)
    assert text == Delta(delta="This answer ends in the mid")
    assert isinstance(notice, Delta)
    assert (notice.message, "Reply truncated" in notice.delta) == (1, True)


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("refused-key", "The model's server refused this service's credentials."),
        ("too-long", "The conversation is too long for the model."),
    ],
)
def test_what_the_models_server_refuses(case: str, message: str) -> None:
    assert failure("openclaw", case) == (CODES[case], message)


def test_the_answer_of_the_other_command() -> None:
    """`openclaw agent --local --json`."""
    meta = {"agentMeta": {"usage": {"input": 1, "cacheRead": 2, "output": 4}}, "aborted": False}
    assert read("openclaw", {"payloads": [{"text": "a"}, {"mediaUrl": "x"}, {"text": "b"}], "meta": meta}) == [
        Usage(prompt_tokens=3, completion_tokens=4, total_tokens=7),
        Delta(delta="a"),
        Delta(delta="b", message=1),
    ]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"ok": False, "error": {"message": "No agent x"}}, "No agent x"),
        ({"ok": False}, "The agent failed."),
        ({"meta": {"aborted": True}}, "The agent failed."),
        ({"meta": {"error": {"message": "timed out"}}}, "timed out"),
    ],
)
def test_the_clis_own_failures(fields: dict[str, object], expected: str) -> None:
    with pytest.raises(RunError) as failed:
        read("openclaw", {"payloads": [{"text": "half"}], **fields}, code=1)
    assert (failed.value.code, failed.value.message) == ("agent_failed", expected)
