from __future__ import annotations

from typing import Any

import pytest

from shared.run.events import FinishReason, Reasoning, ToolUse
from tests.worker.agents.asking import text
from tests.worker.agents.command.warm.playback import Playback
from worker.agents.protocol import Finished

SESSION: dict[str, Any] = {"id": 1, "result": {"sessionId": "s"}}


def update(kind: str, *, session: str = "s", **fields: object) -> dict[str, Any]:
    return {"method": "session/update", "params": {"sessionId": session, "update": {"sessionUpdate": kind, **fields}}}


def piece(words: str, *, session: str = "s", **fields: object) -> dict[str, Any]:
    return update("agent_message_chunk", session=session, content={"type": "text", "text": words}, **fields)


def ended(number: int = 2, reason: str = "end_turn") -> dict[str, Any]:
    return {"id": number, "result": {"stopReason": reason}}


def test_the_session_is_started_once_in_the_directory_of_ours() -> None:
    playback = Playback("gemini", SESSION, piece("a"), ended(), piece("b"), ended(3))
    assert [text(playback.turn(prompt)) for prompt in ("One", "Two")] == ["a", "b"]
    _, new, *prompts = playback.written
    assert new["params"] == {"cwd": "/work", "mcpServers": []}
    assert [prompt["params"] for prompt in prompts] == [
        {"sessionId": "s", "prompt": [{"type": "text", "text": prompt}]} for prompt in ("One", "Two")
    ]


def test_only_the_response_to_the_prompt_ends_the_turn() -> None:
    playback = Playback("opencode", piece("x"), SESSION, piece("a"), ended(7), piece("x", session="sub"), ended())
    assert text(playback.turn()) == "a"


def test_messages_are_known_by_their_ids_or_end_with_a_tool() -> None:
    tool = update("tool_call", toolCallId="ls__1", status="completed", rawOutput="x")
    with_ids = (piece("a", messageId="1"), piece("b", messageId="1"), piece("c", messageId="2"))
    assert text(Playback("opencode", SESSION, *with_ids, ended()).turn()) == "ab\n\nc"
    said = Playback("gemini", SESSION, piece("a"), tool, piece("b"), ended()).turn()
    assert text(said) == "a\n\nb"
    assert [(one.phase, one.name) for one in said if isinstance(one, ToolUse)] == [("start", "ls"), ("result", "ls")]


def test_thoughts_and_a_tool_that_fails() -> None:
    thought = update("agent_thought_chunk", content={"type": "text", "text": "Hm"})
    steps = [
        update("tool_call", toolCallId="1", title="ls", status="pending", rawInput={"a": 1}),
        update("tool_call_update", toolCallId="1", title="Listed", status="failed", content=["no"]),
    ]
    said = Playback("opencode", SESSION, thought, *steps, ended()).turn()
    assert said[0] == Reasoning(delta="Hm")
    assert said[1:3] == [
        ToolUse(phase="start", name="ls", tool_call_id="1", args={"a": 1}),
        ToolUse(phase="result", name="ls", tool_call_id="1", result={"error": ["no"]}),
    ]


@pytest.mark.parametrize(
    ("sent", "reason"),
    [("max_tokens", FinishReason.LENGTH), ("refusal", FinishReason.CONTENT_FILTER), ("of a later release", None)],
)
def test_why_the_model_has_stopped(sent: str, reason: FinishReason | None) -> None:
    said = Playback("gemini", SESSION, piece("a"), ended(reason=sent)).turn()
    assert [one.reason for one in said if isinstance(one, Finished)] == ([reason] if reason else [])


@pytest.mark.parametrize("reason", ["cancelled", "max_turn_requests"])
def test_a_turn_that_was_not_done(reason: str) -> None:
    assert Playback("gemini", SESSION, piece("a"), ended(reason=reason)).failure()[0] == "agent_failed"


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_request_that_is_refused(number: int) -> None:
    refused = {"id": number, "error": {"code": 401, "message": "Incorrect API key provided: x"}}
    assert Playback("gemini", *([SESSION] if number == 2 else []), refused).failure()[0] == "upstream_error"


@pytest.mark.parametrize(
    ("options", "outcome"),
    [
        ([{"optionId": "y", "kind": "allow_once"}, {"optionId": "n", "kind": "reject_once"}], "n"),
        ([{"optionId": "y", "kind": "allow_once"}], None),
    ],
)
def test_nothing_is_allowed_and_nothing_else_is_answered(options: list[object], outcome: str | None) -> None:
    asks = {"id": 9, "method": "session/request_permission", "params": {"sessionId": "s", "options": options}}
    reads = {"id": 10, "method": "fs/read_text_file", "params": {}}
    playback = Playback("opencode", SESSION, asks, reads, piece("a"), ended())
    playback.turn()
    permission, file = playback.written[-2:]
    expected = {"outcome": "selected", "optionId": outcome} if outcome else {"outcome": "cancelled"}
    assert permission == {"jsonrpc": "2.0", "id": 9, "result": {"outcome": expected}}
    assert file["id"] == 10
    assert "error" in file


@pytest.mark.parametrize(("printed", "own"), [(piece("a"), True), (update("usage_update"), False), (ended(), False)])
def test_a_turn_that_nobody_has_asked_for(printed: dict[str, Any], own: bool) -> None:
    assert Playback("gemini").is_unsolicited(printed) is own
