from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.run.errors import RunError
from shared.run.events import Delta, FinishReason, Reasoning, ToolUse, Usage
from shared.run.flat_text import WholeText
from tests.worker.agents.command.formats.recorded import CODES, failure, read, said
from worker.agents.command.formats.claude import Claude
from worker.agents.protocol import Finished


def test_text_comes_in_pieces() -> None:
    assert said("claude", "hello") == [
        Delta(delta="Hello from t"),
        Delta(delta="he model, sa"),
        Delta(delta="id in severa"),
        Delta(delta="l pieces."),
        Usage(prompt_tokens=12, completion_tokens=9, total_tokens=21),
    ]


def test_a_tool() -> None:
    command = {"command": "printf 'from the agent' > note.txt", "description": "Write the note"}
    assert said("claude", "note") == [
        Delta(delta="I shall writ"),
        Delta(delta="e it."),
        ToolUse(phase="start", name="Bash", tool_call_id="call_1", args=command),
        ToolUse(phase="result", name="Bash", tool_call_id="call_1", result="(Bash completed with no output)"),
        Delta(delta="The note is ", message=1),
        Delta(delta="written.", message=1),
        Usage(prompt_tokens=70, completion_tokens=16, total_tokens=86),
    ]


def test_thoughts() -> None:
    assert said("claude", "thinking") == [
        Reasoning(delta="First I thin"),
        Reasoning(delta="k about it."),
        Delta(delta="Now I have t"),
        Delta(delta="hought."),
        Usage(prompt_tokens=13, completion_tokens=8, total_tokens=21),
    ]


def test_a_message_that_met_its_limit_goes_on() -> None:
    """The CLI has the model continue, in another message."""
    assert said("claude", "limit") == [
        Delta(delta="This answer "),
        Delta(delta="ends in the "),
        Delta(delta="mid"),
        Delta(delta="dle of a wor"),
        Delta(delta="d."),
        Usage(prompt_tokens=34, completion_tokens=11, total_tokens=45),
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
    assert failure("claude", case) == (CODES[case], message)


RESULT = {"type": "result", "subtype": "success", "is_error": False}
TOLD = {**RESULT, "result": "Hello you"}  # as the CLI prints it


def message(*content: object, name: str = "m1", **more: object) -> dict[str, object]:
    return {"type": "assistant", "message": {"id": name, "model": "x", "content": content}, **more}


def text(text: str) -> dict[str, object]:
    return {"type": "text", "text": text}


def piece(text: str) -> dict[str, object]:
    return {
        "type": "stream_event",
        "event": {"type": "content_block_delta", "delta": {"type": "text_delta", "text": text}},
    }


STARTS = {"type": "stream_event", "event": {"type": "message_start", "message": {"id": "m1"}}}


def test_messages_without_pieces() -> None:
    """The CLI prints them so without `--include-partial-messages`."""
    lines = [message(text("a")), message(text("b")), message(text("c"), name="m2"), RESULT]
    assert read("claude", *lines) == [Delta(delta="a"), Delta(delta="b"), Delta(delta="c", message=1)]


@given(st.text(min_size=1), st.integers(0, 20), st.integers(0, 20))
def test_what_the_pieces_left_out_comes_with_the_whole(whole: str, first: int, second: int) -> None:
    pieces = [piece(whole[:first]), piece(whole[first : first + second])]
    heard = read("claude", STARTS, *pieces, message(text(whole)), RESULT)
    assert "".join(said.delta for said in heard if isinstance(said, Delta)) == whole


def test_what_a_subagent_says_is_not_the_answer() -> None:
    call = {"type": "tool_use", "id": "t1", "name": "Read", "input": {}}
    lines = [message(text("secretly"), call, parent_tool_use_id="t0"), {**piece("x"), "parent_tool_use_id": "t0"}]
    assert read("claude", *lines, message(text("a"), name="m2"), RESULT) == [
        ToolUse(phase="start", name="Read", tool_call_id="t1", args={}),
        Delta(delta="a"),
    ]


def test_a_tool_that_failed() -> None:
    call = message({"type": "tool_use", "id": "t1", "name": "Read", "input": {}})
    outcome = {"type": "tool_result", "tool_use_id": "t1", "content": "no such file", "is_error": True}
    *_, result = read("claude", call, {"type": "user", "message": {"content": [outcome]}}, RESULT)
    assert result == ToolUse(phase="result", name="Read", tool_call_id="t1", result={"error": "no such file"})


@pytest.mark.parametrize(
    ("sent", "reason"), [("max_tokens", FinishReason.LENGTH), ("refusal", FinishReason.CONTENT_FILTER)]
)
def test_why_the_model_has_stopped_in_the_end(sent: str, reason: FinishReason) -> None:
    assert read("claude", message(text("a")), {**RESULT, "stop_reason": sent})[-1] == Finished(reason=reason)


@pytest.mark.parametrize("sent", ["end_turn", "stop_sequence", None, 1, []])
def test_other_reasons_are_none_of_a_clients(sent: object) -> None:
    assert read("claude", message(text("a")), {**RESULT, "stop_reason": sent}) == [Delta(delta="a")]


def test_an_answer_that_no_model_gave() -> None:
    assert read("claude", TOLD) == [Delta(delta="Hello you")]


@pytest.mark.parametrize(
    ("result", "sent"),
    [
        ({"subtype": "error_max_turns"}, "The agent has reached its limit of turns."),
        ({"subtype": "error_during_execution", "errors": ["no space left"]}, "no space left"),
        ({"subtype": "success", "is_error": True, "result": "Credit balance is too low"}, "Credit balance is too low"),
        ({}, "The agent failed."),
    ],
)
def test_the_clis_own_failures(result: dict[str, object], sent: str) -> None:
    with pytest.raises(RunError) as failed:
        read("claude", {"type": "result", **result})
    assert (failed.value.code, failed.value.message) == ("agent_failed", sent)


def retold(*printed: Mapping[str, Any]) -> str:
    """The whole answer."""
    whole = WholeText()
    for event in read("claude", *printed):
        whole.feed(event)
    return str(whole)


def test_the_answer_ends_with_what_the_cli_tells_as_its_result() -> None:
    assert (
        retold(message(text("Let me count them.")), {**RESULT, "result": '{"n":3}'}) == 'Let me count them.\n\n{"n":3}'
    )
    assert retold(message(text("Three. ")), {**RESULT, "result": "Three."}) == "Three. "


def starts(name: str) -> dict[str, object]:
    return {"type": "stream_event", "event": {"type": "message_start", "message": {"id": name}}}


STOPS = {"type": "stream_event", "event": {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}}


def test_a_message_that_broke_off_is_no_part_of_the_answer() -> None:
    whole = "The capital of France is Paris."
    again: list[Mapping[str, Any]] = [starts("m2"), piece(whole), message(text(whole), name="m2"), STOPS]
    broken: list[Mapping[str, Any]] = [message(text("I look."), name="m0"), starts("m1"), piece("The capital of Fra")]
    assert retold(*broken, *again, {**RESULT, "result": whole}) == f"I look.\n\n{whole}"
    assert retold(*broken, {**RESULT, "result": whole}) == f"I look.\n\n{whole}"


def test_a_message_that_is_asked_for_again_has_broken_off() -> None:
    """Its text had come as a whole already, but not the call of a tool behind it."""
    retry = {"type": "system", "subtype": "api_retry", "attempt": 1}
    first: list[Mapping[str, Any]] = [starts("m1"), piece("I look."), message(text("I look."))]
    again: list[Mapping[str, Any]] = [starts("m2"), piece("I look."), message(text("I look."), name="m2"), STOPS]
    assert retold(*first, retry, *again, RESULT) == "I look."


def test_a_server_that_gives_no_reason_to_stop_is_no_retry() -> None:
    lines = [starts("m1"), piece("One."), message(text("One."))]
    lines += [starts("m2"), piece("Two."), message(text("Two."), name="m2")]
    heard = read("claude", *lines, {**RESULT, "result": "Two."})
    assert heard == [Delta(delta="One."), Delta(delta="Two.", message=1)]


def test_an_end_after_half_a_message_is_none() -> None:
    with pytest.raises(RunError):
        read("claude", starts("m1"), piece("The capital of Fra"), RESULT)


def test_a_damaged_piece_is_mended_by_the_whole_message() -> None:
    assert retold(starts("m1"), piece("One "), piece("three"), message(text("One two three")), STOPS, RESULT) == (
        "One two three"
    )


TASK = {"type": "system", "subtype": "task_started", "task_id": "t1", "is_backgrounded": True}
TASK_ENDED = {"type": "system", "subtype": "task_notification", "task_id": "t1", "status": "completed"}


def test_a_result_is_not_the_end_while_something_works_in_the_background() -> None:
    format, over = Claude(), []
    init = {"type": "system", "subtype": "init", "session_id": "c"}
    later = message(text("It is done."), name="m2")
    told = {**RESULT, "result": "It is done."}
    for line in (init, message(text("I wait.")), TASK, {**RESULT, "result": "I wait."}, TASK_ENDED, init, later, told):
        list(format.read(line))
        over.append(format.over)
    assert over == [False, False, False, False, True, False, False, True]
    assert format.worked_aside
    list(format.read(init))
    failure = format.failure(0)
    assert failure
    assert failure.code == "agent_protocol_error"


@pytest.mark.parametrize("status", ["completed", "failed", "killed", "of a later release"])
def test_a_task_whose_state_ends_it_is_over(status: str) -> None:
    format = Claude()
    for line in (TASK, {"type": "system", "subtype": "task_updated", "task_id": "t1", "patch": {"status": status}}):
        list(format.read(line))
    list(format.read(RESULT))
    assert format.over


def notice(words: str) -> dict[str, object]:
    return {"type": "assistant", "message": {"id": "n", "model": "<synthetic>", "content": [text(words)]}}


def test_a_notice_is_no_answer() -> None:
    words = "No response requested."
    with pytest.raises(RunError, match=words):
        read("claude", notice(words), {**RESULT, "result": words, "terminal_reason": "completed"})
    assert retold(notice("Tokens: 12k"), {**RESULT, "result": "Tokens: 12k"}) == "Tokens: 12k"  # of `/context`


def test_a_limit_that_is_told_in_words_is_one_and_so_is_when_it_ends() -> None:
    words = "You've hit your weekly limit \u00b7 resets Monday 3pm (UTC)"
    event = {"type": "rate_limit_event", "rate_limit_info": {"status": "rejected", "resetsAt": 1_800_000_000}}
    with pytest.raises(RunError) as failed:
        read("claude", event, notice(words), {**RESULT, "result": words})
    assert (failed.value.code, failed.value.retry_at) == ("rate_limit_exceeded", 1_800_000_000)
    assert "resets Monday 3pm" in failed.value.message
