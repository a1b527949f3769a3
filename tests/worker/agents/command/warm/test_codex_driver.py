from __future__ import annotations

from typing import Any

import pytest

from shared.run.events import Delta, Reasoning, Usage
from shared.run.flat_text import WholeText
from tests.worker.agents.asking import text
from tests.worker.agents.command.warm.playback import Playback

THREAD: dict[str, Any] = {"id": 1, "result": {"thread": {"id": "t"}}}


def notification(method: str, *, thread: str = "t", **params: object) -> dict[str, Any]:
    return {"method": method, "params": {"threadId": thread, **params}}


def piece(words: str, item: str = "m1", **more: Any) -> dict[str, Any]:
    return notification("item/agentMessage/delta", itemId=item, delta=words, **more)


def whole(words: str, item: str = "m1", **more: Any) -> dict[str, Any]:
    return notification("item/completed", item={"type": "agentMessage", "id": item, "text": words}, **more)


def ended(status: str = "completed", **turn: object) -> dict[str, Any]:
    return notification("turn/completed", turn={"id": "u", "status": status, **turn})


def test_the_thread_is_started_once_in_the_directory_of_the_session() -> None:
    playback = Playback("codex", THREAD, whole("a"), ended(), whole("b"), ended())
    assert [text(playback.turn(prompt)) for prompt in ("One", "Two")] == ["a", "b"]
    opening, _, thread, *turns = playback.written
    assert opening["method"] == "initialize"
    assert thread == {"id": 1, "method": "thread/start", "params": {"cwd": "/work", "ephemeral": True}}
    assert [turn["params"] for turn in turns] == [
        {"threadId": "t", "input": [{"type": "text", "text": prompt}]} for prompt in ("One", "Two")
    ]


def test_text_comes_in_pieces_and_what_they_left_out_at_the_end() -> None:
    playback = Playback("codex", THREAD, piece("Hel"), piece("lo"), whole("Hello."), whole("Bye.", item="m2"), ended())
    assert playback.turn() == [
        Delta(delta="Hel"),
        Delta(delta="lo"),
        Delta(delta="."),
        Delta(delta="Bye.", message=1),
    ]


def test_thoughts_come_in_pieces() -> None:
    part = notification("item/reasoning/summaryPartAdded", itemId="r", summaryIndex=1)
    pieces = [notification("item/reasoning/summaryTextDelta", itemId="r", delta=words) for words in ("One", "Two")]
    end = notification(
        "item/completed", item={"type": "reasoning", "id": "r", "summary": ["One", "Two."], "content": []}
    )
    said = Playback("codex", THREAD, pieces[0], part, pieces[1], end, ended()).turn()
    assert "".join(one.delta for one in said if isinstance(one, Reasoning)) == "One\n\nTwo."


def test_what_happens_in_another_thread_is_not_the_answers() -> None:
    other = [whole("Nobody asked.", item="m9", thread="s"), {**ended(), "params": {"threadId": "s", "turn": {}}}]
    assert text(Playback("codex", THREAD, *other, whole("a"), ended()).turn()) == "a"


def test_each_turn_counts_its_own_tokens() -> None:
    """The CLI prints the tokens of the whole thread."""

    def total(prompt: int, completion: int) -> dict[str, Any]:
        counts = {"inputTokens": prompt, "outputTokens": completion}
        return notification("thread/tokenUsage/updated", tokenUsage={"total": counts})

    playback = Playback("codex", THREAD, total(10, 1), ended(), total(30, 2), total(60, 4), ended())
    assert playback.turn()[-1] == Usage(prompt_tokens=10, completion_tokens=1, total_tokens=11)
    assert playback.turn()[-1] == Usage(prompt_tokens=50, completion_tokens=3, total_tokens=53)


def test_an_error_that_it_overcomes_is_none() -> None:
    error = notification("error", error={"message": "stream disconnected"}, willRetry=True)
    assert text(Playback("codex", THREAD, error, whole("a"), ended()).turn()) == "a"


@pytest.mark.parametrize(
    ("printed", "why"),
    [
        ([{"id": 1, "error": {"code": -32600, "message": "no such model"}}], "no such model"),
        ([THREAD, {"id": 2, "error": {"code": -32600, "message": "no such thread"}}], "no such thread"),
        ([THREAD, ended("failed", error={"message": "no space left"})], "no space left"),
        ([THREAD, ended("interrupted", error=None)], "The turn is interrupted."),
    ],
)
def test_failures(printed: list[dict[str, Any]], why: str) -> None:
    assert Playback("codex", *printed).failure() == ("agent_failed", why)


def test_who_asks_for_approval_is_refused() -> None:
    """No user is there to answer, and a request without an answer would hold the turn for ever."""
    ask = {"id": 7, "method": "item/commandExecution/requestApproval", "params": {"threadId": "t"}}
    playback = Playback("codex", THREAD, ask, ended())
    playback.turn()
    assert playback.written[-1]["id"] == 7
    assert "error" in playback.written[-1]


@pytest.mark.parametrize(
    ("printed", "own"),
    [
        (notification("turn/started"), True),
        (piece("x"), True),
        (notification("thread/status/changed"), False),
        ({"method": "account/rateLimits/updated", "params": {}}, False),
    ],
)
def test_a_turn_that_nobody_has_asked_for(printed: dict[str, Any], own: bool) -> None:
    assert Playback("codex").is_unsolicited(printed) is own


def test_what_happens_in_a_turn_of_the_clis_own_is_not_the_answer() -> None:
    """Such as a turn for a command in the background that has ended."""
    other = notification("turn/completed", turn={"id": "other", "status": "completed"})
    lines = [piece("Nobody asked.", item="x", turnId="other"), other, piece("a", turnId="u"), ended()]
    assert text(Playback("codex", THREAD, *lines).turn()) == "a"


def test_a_message_that_broke_off_is_no_part_of_the_answer() -> None:
    whole_text = WholeText()
    for event in Playback(
        "codex", THREAD, piece("The capital of Fra"), whole("It is Paris.", item="m2"), ended()
    ).turn():
        whole_text.feed(event)
    assert str(whole_text) == "It is Paris."
