from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.run.errors import RunError
from shared.run.events import Delta, Reasoning, ToolUse, Usage
from tests.worker.agents.command.formats.recorded import CODES, failure, read, said


def test_text_comes_by_messages() -> None:
    assert said("codex", "hello") == [
        Delta(delta="Hello from the model, said in several pieces."),
        Usage(prompt_tokens=12, completion_tokens=9, total_tokens=21),
    ]


def test_a_tool() -> None:
    command = {"command": """/bin/bash -lc "printf 'from the agent' > note.txt\""""}
    outcome = {"aggregated_output": "", "exit_code": 0, "status": "completed"}
    assert said("codex", "note") == [
        Delta(delta="I shall write it."),
        ToolUse(phase="start", name="command_execution", tool_call_id="item_2", args=command),
        ToolUse(phase="result", name="command_execution", tool_call_id="item_2", result=outcome),
        Delta(delta="The note is written.", message=1),
        Usage(prompt_tokens=70, completion_tokens=16, total_tokens=86),
    ]


def test_thoughts() -> None:
    assert said("codex", "thinking") == [
        Reasoning(delta="First I think about it."),
        Delta(delta="Now I have thought."),
        Usage(prompt_tokens=13, completion_tokens=8, total_tokens=21),
    ]


def test_the_limit_of_an_answer_is_not_told() -> None:
    assert said("codex", "limit") == [
        Delta(delta="This answer ends in the mid"),
        Usage(prompt_tokens=14, completion_tokens=7, total_tokens=21),
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
    assert failure("codex", case) == (CODES[case], message)


def item(act: str, **fields: object) -> dict[str, object]:
    return {"type": f"item.{act}", "item": {"id": "item_1", **fields}}


DONE = {"type": "turn.completed"}


@given(st.text(min_size=1), st.lists(st.integers(1, 20), max_size=4))
def test_a_message_that_grows(whole: str, ends: list[int]) -> None:
    lines = [item("updated", type="agent_message", text=whole[:end]) for end in sorted(ends)]
    events = read("codex", *lines, item("completed", type="agent_message", text=whole), DONE)
    assert "".join(event.delta for event in events if isinstance(event, Delta)) == whole
    assert {event.message for event in events if isinstance(event, Delta)} == {0}


def test_a_tool_that_is_told_only_at_its_end() -> None:
    change = {"changes": [{"path": "a", "kind": "add"}]}
    assert read("codex", item("completed", type="file_change", **change, status="completed"), DONE) == [
        ToolUse(phase="start", name="file_change", tool_call_id="item_1", args=change),
        ToolUse(phase="result", name="file_change", tool_call_id="item_1", result={"status": "completed"}),
    ]


def test_a_list_that_is_updated() -> None:
    lines = [item(act, type="todo_list", items=[act]) for act in ("started", "updated", "completed")]
    assert [
        (said.phase, said.args, said.result) for said in read("codex", *lines, DONE) if isinstance(said, ToolUse)
    ] == [
        ("start", {"items": ["started"]}, None),
        ("update", None, {"items": ["updated"]}),
        ("result", None, {"items": ["completed"]}),
    ]


def test_an_error_that_was_overcome_is_none() -> None:
    retry = {"type": "error", "message": "Reconnecting... 1/5"}
    assert read("codex", retry, item("completed", type="agent_message", text="a"), DONE) == [Delta(delta="a")]


def test_the_last_error_explains_a_turn_that_did_not_end() -> None:
    with pytest.raises(RunError, match="stream closed"):
        read("codex", {"type": "error", "message": "stream closed"}, code=1)
