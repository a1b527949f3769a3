from __future__ import annotations

from uuid import UUID

import pytest

from tests.worker.agents.command.warm.playback import Playback
from worker.agents.command.warm.claude_driver import ClaudeTurn

RESULT = {"type": "result", "subtype": "success", "is_error": False, "result": "Done."}


def test_a_turn_is_a_line() -> None:
    playback = Playback("claude", RESULT)
    playback.turn('-p "x"\n\u2028')
    (line,) = playback.written
    assert line["message"] == {"role": "user", "content": '-p "x"\n\u2028'}
    assert UUID(str(line["uuid"]))


@pytest.mark.parametrize(("prompt", "last"), [("/clear", True), ("\n /compact", True), ("a /clear", False)])
def test_a_command_of_the_cli_is_a_processs_last_turn(prompt: str, last: bool) -> None:
    assert ClaudeTurn(prompt, first=True).last is last


@pytest.mark.parametrize(
    ("printed", "own"),
    [
        ({"type": "assistant", "message": {}}, True),
        ({"type": "stream_event", "event": {}}, True),
        (RESULT, True),
        ({"type": "system", "subtype": "task_notification"}, False),
        ({"type": "rate_limit_event"}, False),
    ],
)
def test_a_turn_that_nobody_has_asked_for(printed: dict[str, object], own: bool) -> None:
    assert Playback("claude").is_unsolicited(printed) is own
