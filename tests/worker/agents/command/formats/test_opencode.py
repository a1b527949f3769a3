from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.run.errors import RunError
from shared.run.events import Delta, FinishReason, Reasoning, ToolUse, Usage
from tests.worker.agents.command.formats.recorded import CODES, failure, read, said
from worker.agents.protocol import Finished


def test_text_comes_by_messages() -> None:
    assert said("opencode", "hello") == [
        Delta(delta="Hello from the model, said in several pieces."),
        Usage(prompt_tokens=12, completion_tokens=9, total_tokens=21),
    ]


def test_a_tool() -> None:
    patch = {"patchText": "*** Begin Patch\n*** Add File: note.txt\n+from the agent\n*** End Patch"}
    outcome = "Success. Updated the following files:\nA work/note.txt"
    assert said("opencode", "note") == [
        Delta(delta="I shall write it."),
        ToolUse(phase="start", name="apply_patch", tool_call_id="call_1", args=patch),
        ToolUse(phase="result", name="apply_patch", tool_call_id="call_1", result=outcome),
        Usage(prompt_tokens=30, completion_tokens=10, total_tokens=40),
        Delta(delta="The note is written.", message=1),
        Usage(prompt_tokens=70, completion_tokens=16, total_tokens=86),
    ]


def test_thoughts() -> None:
    assert said("opencode", "thinking") == [
        Reasoning(delta="First I think about it."),
        Delta(delta="Now I have thought."),
        Usage(prompt_tokens=13, completion_tokens=8, total_tokens=21),
    ]


def test_the_limit_of_an_answer_is_told() -> None:
    assert said("opencode", "limit") == [
        Delta(delta="This answer ends in the mid"),
        Usage(prompt_tokens=14, completion_tokens=7, total_tokens=21),
        Finished(reason=FinishReason.LENGTH),
    ]


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("refused-key", "The model's server refused this service's credentials."),
        ("rate-limit", "The model's server has reached its rate limit or quota."),
        ("too-long", "The conversation is too long for the model."),
    ],
)
def test_what_the_models_server_refuses(case: str, message: str) -> None:
    assert failure("opencode", case) == (CODES[case], message)


def part(type: str, **fields: object) -> dict[str, object]:
    return {"type": type, "part": {"id": "p1", "messageID": "m1", **fields}}


DONE = part("step_finish", reason="stop", tokens={"input": 1, "output": 2, "reasoning": 3, "cache": {"read": 4}})


@given(st.text(min_size=1), st.lists(st.integers(1, 20), max_size=4))
def test_a_part_that_grows(whole: str, ends: list[int]) -> None:
    heard = read("opencode", *(part("text", text=whole[:end]) for end in sorted(ends)), part("text", text=whole), DONE)
    assert "".join(said.delta for said in heard if isinstance(said, Delta)) == whole


def test_all_tokens_count() -> None:
    assert read("opencode", DONE) == [Usage(prompt_tokens=5, completion_tokens=5, total_tokens=10)]


def test_a_tool_that_failed() -> None:
    state = {"status": "error", "input": {}, "error": "no such file"}
    *_, result, _ = read("opencode", part("tool_use", tool="read", callID="t1", state=state), DONE)
    assert result == ToolUse(phase="result", name="read", tool_call_id="t1", result={"error": "no such file"})


def test_an_end_between_two_steps_is_none() -> None:
    with pytest.raises(RunError, match="ended without the end of its answer"):
        read("opencode", part("text", text="a"), part("step_finish", reason="tool-calls"))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ({"name": "UnknownError", "data": {"message": "Model not found"}}, "Model not found"),
        ({"name": "Aborted"}, "Aborted"),
        (None, "The agent failed."),
    ],
)
def test_the_clis_own_failures(error: object, expected: str) -> None:
    with pytest.raises(RunError) as failed:
        read("opencode", {"type": "error", "error": error}, code=1)
    assert (failed.value.code, failed.value.message) == ("agent_failed", expected)
