from __future__ import annotations

import pytest

from shared.run.errors import RunError
from shared.run.events import Delta, ToolUse, Usage
from tests.worker.agents.command.formats.recorded import CODES, failure, read, said


def test_text_comes_in_pieces() -> None:
    assert said("gemini", "hello") == [
        Delta(delta="Hello from t"),
        Delta(delta="he model, sa"),
        Delta(delta="id in severa"),
        Delta(delta="l pieces."),
        Usage(prompt_tokens=12, completion_tokens=9, total_tokens=21),
    ]


def test_a_tool() -> None:
    call = {"name": "write_file", "tool_call_id": "write_file__call_1"}
    assert said("gemini", "note") == [
        Delta(delta="I shall writ"),
        Delta(delta="e it."),
        ToolUse(phase="start", **call, args={"file_path": "note.txt", "content": "from the agent"}),
        ToolUse(phase="result", **call),
        Delta(delta="The note is ", message=1),
        Delta(delta="written.", message=1),
        Usage(prompt_tokens=70, completion_tokens=16, total_tokens=86),
    ]


def test_thoughts_are_not_told() -> None:
    assert said("gemini", "thinking") == [
        Delta(delta="Now I have t"),
        Delta(delta="hought."),
        Usage(prompt_tokens=13, completion_tokens=8, total_tokens=21),
    ]


def test_the_limit_of_an_answer_is_not_told() -> None:
    assert said("gemini", "limit")[-1] == Usage(prompt_tokens=14, completion_tokens=7, total_tokens=21)


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("refused-key", "The model's server refused this service's credentials."),
        ("rate-limit", "The model's server has reached its rate limit or quota."),
        ("too-long", "The conversation is too long for the model."),
    ],
)
def test_what_the_models_server_refuses(case: str, message: str) -> None:
    assert failure("gemini", case) == (CODES[case], message)


RESULT = {"type": "result", "status": "success"}


def test_the_tokens_of_thoughts_are_output() -> None:
    stats = {"total_tokens": 100, "input_tokens": 60, "output_tokens": 10}
    assert read("gemini", {**RESULT, "stats": stats}) == [
        Usage(prompt_tokens=60, completion_tokens=40, total_tokens=100)
    ]


def test_a_tool_that_failed() -> None:
    call = {"type": "tool_use", "tool_name": "ls", "tool_id": "t1", "parameters": {}}
    outcome = {"type": "tool_result", "tool_id": "t1", "status": "error", "error": {"message": "no"}}
    *_, result = read("gemini", call, outcome, RESULT)
    assert result == ToolUse(phase="result", name="ls", tool_call_id="t1", result={"error": {"message": "no"}})


def test_a_warning_is_no_error() -> None:
    assert read("gemini", {"type": "error", "severity": "warning", "message": "loop"}, RESULT) == []


@pytest.mark.parametrize(
    ("code", "expected"),
    [(41, "could not authenticate itself"), (53, "limit of turns"), (55, "does not trust"), (1, "too cold")],
)
def test_the_meaning_of_an_exit(code: int, expected: str) -> None:
    with pytest.raises(RunError, match=expected):
        read("gemini", {"type": "error", "severity": "error", "message": "too cold"}, code=code)


def test_the_status_of_the_models_server_is_in_the_exit_code() -> None:
    broken = {"type": "result", "status": "error", "error": {"message": "oops"}}
    with pytest.raises(RunError, match="answered with status 500"):
        read("gemini", broken, code=500 % 256)
