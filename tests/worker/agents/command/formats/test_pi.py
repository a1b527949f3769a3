from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.run.errors import RunError
from shared.run.events import Delta, FinishReason, Reasoning, ToolUse, Usage
from tests.worker.agents.command.formats.recorded import CODES, failure, read, said
from worker.agents.protocol import Finished


def test_text_comes_in_pieces() -> None:
    assert said("pi", "hello") == [
        Delta(delta="Hello from t"),
        Delta(delta="he model, sa"),
        Delta(delta="id in severa"),
        Delta(delta="l pieces."),
        Usage(prompt_tokens=12, completion_tokens=9, total_tokens=21),
    ]


def test_a_tool() -> None:
    outcome = {"content": [{"type": "text", "text": "Successfully wrote to note.txt"}]}
    file = {"path": "note.txt", "content": "from the agent"}
    assert said("pi", "note") == [
        Delta(delta="I shall writ"),
        Delta(delta="e it."),
        Usage(prompt_tokens=30, completion_tokens=10, total_tokens=40),
        ToolUse(phase="start", name="write", tool_call_id="call_1", args=file),
        ToolUse(phase="result", name="write", tool_call_id="call_1", result=outcome),
        Delta(delta="The note is ", message=1),
        Delta(delta="written.", message=1),
        Usage(prompt_tokens=70, completion_tokens=16, total_tokens=86),
    ]


def test_thoughts() -> None:
    assert said("pi", "thinking") == [
        Reasoning(delta="First I thin"),
        Reasoning(delta="k about it."),
        Delta(delta="Now I have t"),
        Delta(delta="hought."),
        Usage(prompt_tokens=13, completion_tokens=8, total_tokens=21),
    ]


def test_the_limit_of_an_answer_is_told() -> None:
    assert said("pi", "limit")[-2:] == [
        Usage(prompt_tokens=14, completion_tokens=7, total_tokens=21),
        Finished(reason=FinishReason.LENGTH),
    ]


def test_a_limit_that_a_later_message_was_not_cut_by_does_not_count() -> None:
    def ended(reason: str) -> dict[str, object]:
        return {"type": "message_end", "message": {"role": "assistant", "content": [], "stopReason": reason}}

    events = read("pi", ended("length"), ended("stop"), {"type": "agent_end"})
    assert events[-1] == Finished(reason=FinishReason.STOP)


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("refused-key", "The model's server refused this service's credentials."),
        ("rate-limit", "The model's server has reached its rate limit or quota."),
        ("too-long", "The conversation is too long for the model."),
    ],
)
def test_what_the_models_server_refuses(case: str, message: str) -> None:
    assert failure("pi", case) == (CODES[case], message)


STARTS = {"type": "message_start", "message": {"role": "assistant"}}
DONE = {"type": "agent_end"}


def piece(text: str) -> dict[str, object]:
    event = {"type": "text_delta", "contentIndex": 0, "delta": text}
    return {"type": "message_update", "assistantMessageEvent": event}


def ends(*texts: str, **more: object) -> dict[str, object]:
    content = [{"type": "text", "text": text} for text in texts]
    return {"type": "message_end", "message": {"role": "assistant", "content": content, **more}}


@given(st.text(min_size=1), st.integers(0, 20), st.integers(0, 20))
def test_what_the_pieces_left_out_comes_with_the_whole(whole: str, first: int, second: int) -> None:
    pieces = [piece(whole[:first]), piece(whole[first : first + second])]
    heard = read("pi", STARTS, *pieces, ends(whole), DONE)
    assert "".join(said.delta for said in heard if isinstance(said, Delta)) == whole


def test_a_failure_that_was_overcome_is_none() -> None:
    failed = ends(stopReason="error", errorMessage="429 Too many requests")
    assert read("pi", STARTS, failed, DONE, STARTS, ends("a", stopReason="stop"), DONE) == [Delta(delta="a")]


@pytest.mark.parametrize("act", ["update", "end"])
def test_a_tool_that_goes_on_and_fails(act: str) -> None:
    call = {"toolName": "bash", "toolCallId": "t1", "partialResult": "a", "result": "b", "isError": True}
    expected = {"update": ("update", "a"), "end": ("result", {"error": "b"})}
    (said,) = read("pi", {"type": f"tool_execution_{act}", **call}, DONE)
    assert isinstance(said, ToolUse)
    assert (said.phase, said.result) == expected[act]


def test_the_clis_own_failures() -> None:
    with pytest.raises(RunError, match=r"^No API key for x$"):
        read("pi", STARTS, ends(stopReason="error", errorMessage="No API key for x"), DONE)
