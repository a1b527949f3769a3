from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

import pytest

from shared.run.errors import RunError
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


def answer(words: str) -> list[dict[str, object]]:
    content = [{"type": "text", "text": words}]
    return [{"type": "assistant", "message": {"id": words, "content": content}}, {**RESULT, "result": words}]


def read(turn: ClaudeTurn, *printed: Mapping[str, object]) -> str:
    return "".join(event for line in printed for event in turn.read(line) if isinstance(event, str))


def stamps(turn: ClaudeTurn) -> list[dict[str, object]]:
    """The lines that tell that the CLI begins with the turn's prompt, of several releases."""
    name = turn.outgoing[0]["uuid"]
    return [
        {"type": "command_lifecycle", "command_uuid": name, "state": "started"},
        {"type": "user", "isReplay": True, "uuid": name, "message": {}},
        {"type": "assistant", "user_message_uuid": name, "message": {"id": "m0", "content": []}},
    ]


@pytest.mark.parametrize("stamp", range(3))
def test_what_the_cli_prints_before_it_begins_with_the_prompt_is_no_answer(stamp: int) -> None:
    turn = ClaudeTurn("Hi", first=False)
    said = read(turn, *answer("Nobody asked."))
    assert (said, turn.over) == ("", False)
    said = read(turn, stamps(turn)[stamp], *answer("Hello."))
    assert (said, turn.over, turn.again) == ("Hello.", True, False)


def test_a_result_that_cannot_be_matched_is_no_answer_and_no_release_without_ids_is_kept() -> None:
    turn = ClaudeTurn("Hi", first=False)
    assert read(turn, *answer("Hello.")) == ""
    assert not turn.over
    turn = ClaudeTurn("Hi", first=True)
    assert read(turn, *answer("Hello.")) == "Hello."
    assert (turn.over, turn.again) == (True, False)


def test_a_prompt_that_the_cli_has_done_without_a_result_fails_the_run() -> None:
    turn = ClaudeTurn("Hi", first=False)
    with pytest.raises(RunError):
        read(turn, {**stamps(turn)[0], "state": "cancelled"})


def test_a_turn_that_begins_work_in_the_background_is_a_processs_last() -> None:
    turn = ClaudeTurn("Hi", first=False)
    begins = {"type": "system", "subtype": "background_tasks_changed", "tasks": [{"task_id": "t"}]}
    ends = {**begins, "tasks": []}
    assert read(turn, stamps(turn)[0], begins, *answer("I wait.")) == "I wait."
    assert (turn.over, turn.last) == (False, True)
    assert read(turn, ends, *answer("Done.")) == "Done."
    assert (turn.over, turn.last) == (True, True)
