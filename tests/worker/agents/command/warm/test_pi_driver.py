from __future__ import annotations

from typing import Any

import pytest

from tests.worker.agents.asking import text
from tests.worker.agents.command.warm.playback import Playback

ACCEPTED = {"type": "response", "command": "prompt", "success": True}
START: dict[str, Any] = {"type": "agent_start"}
END: dict[str, Any] = {"type": "agent_end", "messages": []}
ASK_STATE = {"type": "get_state"}


def state(**data: object) -> dict[str, Any]:
    idle = {"isStreaming": False, "isCompacting": False, "pendingMessageCount": 0}
    return {"type": "response", "command": "get_state", "success": True, "data": {**idle, **data}}


def message(words: str, **more: object) -> list[dict[str, Any]]:
    it = {"role": "assistant", "content": [{"type": "text", "text": words}], **more}
    return [{"type": "message_start", "message": it}, {"type": "message_end", "message": it}]


BUSY, IDLE = state(isStreaming=True), state()


def test_the_state_is_asked_for_when_the_prompt_is_accepted_and_when_the_agent_has_ended() -> None:
    playback = Playback("pi", ACCEPTED, START, BUSY, *message("Hello."), END, IDLE)
    assert text(playback.turn()) == "Hello."
    assert playback.written == [{"type": "prompt", "message": "Hi"}, ASK_STATE, ASK_STATE]


def test_the_agent_tries_again_after_its_end() -> None:
    failed = message("", stopReason="error", errorMessage="overloaded")
    retry = [{"type": "auto_retry_start"}, IDLE, START]
    playback = Playback("pi", ACCEPTED, START, BUSY, *failed, END, *retry, *message("Hello."), END, IDLE)
    assert text(playback.turn()) == "Hello."


def test_the_agent_has_tried_often_enough() -> None:
    failed = message("", stopReason="error", errorMessage="no such tool")
    end = {"type": "auto_retry_end", "success": False}
    assert Playback("pi", ACCEPTED, START, BUSY, *failed, END, end, IDLE, IDLE).failure() == (
        "agent_failed",
        "no such tool",
    )


def test_the_conversation_is_compacted_after_the_turn() -> None:
    """The CLI would refuse the next turn before that."""
    compacting = [
        {"type": "compaction_start"},
        state(isCompacting=True),
        {"type": "compaction_end", "willRetry": False},
    ]
    playback = Playback("pi", ACCEPTED, START, BUSY, *message("Hello."), END, *compacting, IDLE)
    assert text(playback.turn()) == "Hello."
    assert playback.left == []


def test_the_conversation_is_compacted_and_the_turn_done_again() -> None:
    too_long = message("", stopReason="error", errorMessage="too long")
    compacting = [{"type": "compaction_start"}, state(isCompacting=True), {"type": "compaction_end", "willRetry": True}]
    again = [START, *message("Hello."), END, IDLE]
    assert text(Playback("pi", ACCEPTED, START, BUSY, *too_long, END, *compacting, *again).turn()) == "Hello."


def test_what_was_printed_before_the_prompt_is_not_the_turns() -> None:
    playback = Playback(
        "pi", START, *message("Nobody asked."), END, ACCEPTED, BUSY, START, *message("Hello."), END, IDLE
    )
    assert text(playback.turn()) == "Hello."


def test_a_prompt_that_is_refused() -> None:
    refused = {"type": "response", "command": "prompt", "success": False, "error": "No API key found"}
    assert Playback("pi", refused).failure() == ("agent_failed", "No API key found")


def test_a_command_of_an_extension_has_no_answer() -> None:
    """It fails the run, as it does with `pi -p`: an end of its answer never comes."""
    assert Playback("pi", ACCEPTED, IDLE).failure()[0] == "agent_protocol_error"


@pytest.mark.parametrize("method", ["select", "confirm", "input", "editor"])
def test_an_extension_that_asks_somebody_is_told_that_nobody_is_there(method: str) -> None:
    ask = {"type": "extension_ui_request", "id": "x", "method": method}
    playback = Playback("pi", ACCEPTED, START, BUSY, ask, *message("Hello."), END, IDLE)
    playback.turn()
    assert {"type": "extension_ui_response", "id": "x", "cancelled": True} in playback.written


@pytest.mark.parametrize(
    ("printed", "own"), [(START, True), (message("x")[0], True), (IDLE, False), ({"type": "queue_update"}, False)]
)
def test_a_turn_that_nobody_has_asked_for(printed: dict[str, Any], own: bool) -> None:
    assert Playback("pi").is_unsolicited(printed) is own
