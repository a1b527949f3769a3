from __future__ import annotations

import pytest
from pydantic import JsonValue

from api.failures import Failure
from api.prompt import Prompt, read_prompt
from shared.run import Turn


def said(*messages: tuple[str, JsonValue]) -> Prompt:
    return read_prompt([{"role": role, "content": content} for role, content in messages])


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("Hi", "Hi"),
        ("\ufeff Hi\n ", "Hi"),
        ("a\n\nb", "a\n\nb"),
        ([{"type": "text", "text": "a"}, {"type": "input_text", "text": "b"}], "a\nb"),
        ([{"type": "text", "text": ""}, {"type": "text", "text": "b"}], "b"),
        ([{"input_text": "a"}, {"type": "else", "input_text": "b"}], "a\nb"),
        ([{"type": "text", "text": 1, "input_text": "a"}], "a"),
        ([{"type": "text", "text": "a", "input_text": "b"}], "a"),
        ([{"type": "image_url", "image_url": {"url": "x"}}, {"type": "text", "text": "a"}], "a"),
        ([None, 1, "x", [], {"type": "text", "text": "a"}], "a"),
    ],
)
def test_the_text_of_a_message(content: JsonValue, text: str) -> None:
    assert said(("user", content)) == Prompt(text)


@pytest.mark.parametrize(
    "messages",
    [
        None,
        "Hi",
        {},
        [],
        [None, 1, "user"],
        [{"role": "user"}],
        [{"content": "Hi"}],
        [{"role": 1, "content": "Hi"}],
        [{"role": "user", "content": " \ufeff"}],
        [{"role": "user", "content": {"text": "Hi"}}],
        [{"role": "User", "content": "Hi"}],
        [{"role": "system", "content": "Hi"}],
        [{"role": "assistant", "content": "Hi"}, {"role": "tool", "content": "Hi"}],
    ],
)
def test_no_usable_user_message(messages: JsonValue) -> None:
    with pytest.raises(Failure, match="Missing user message") as failed:
        read_prompt(messages)
    assert failed.value.status == 400


def test_a_role_is_trimmed() -> None:
    assert said((" user\n", "Hi")) == Prompt("Hi")


def test_system_and_developer_texts_are_the_extra_system_prompt() -> None:
    prompt = said(("system", "a"), ("user", "Hi"), ("developer", " b "), ("system", ""))
    assert prompt == Prompt("Hi", extra_system_prompt="a\n\nb")


def test_earlier_turns_are_history() -> None:
    prompt = said(("user", "1"), ("assistant", "2"), ("user", "3"), ("assistant", "4"), ("user", "5"))
    history = [("user", "1"), ("assistant", "2"), ("user", "3"), ("assistant", "4")]
    assert prompt == Prompt("5", history=tuple(Turn(role=r, content=c) for r, c in history))


def test_of_several_user_texts_the_last_is_asked() -> None:
    earlier = Turn(role="user", content="same")
    assert said(("user", "same"), ("user", "same")) == Prompt("same", history=(earlier,))


def test_the_results_of_tools_belong_to_the_turn() -> None:
    prompt = said(("user", "Weather?"), ("assistant", None), ("tool", "Rain"), ("function", "8 degrees"))
    assert prompt == Prompt("Weather?\n\nTool result:\nRain\n\nTool result:\n8 degrees")


def test_the_results_of_tools_can_be_the_whole_turn() -> None:
    prompt = said(("user", "Weather?"), ("assistant", "I look."), ("tool", "Rain"))
    assert prompt.message == "Tool result:\nRain"
    assert [turn.content for turn in prompt.history] == ["Weather?", "I look."]


def test_results_before_the_last_answer_are_history() -> None:
    prompt = said(("user", "a"), ("tool", "b"), ("assistant", "c"), ("tool", "d"), ("user", "e"))
    assert prompt.message == "Tool result:\nd\n\ne"
    assert [turn.role for turn in prompt.history] == ["user", "tool", "assistant"]


def test_an_answer_at_the_end_is_passed_over() -> None:
    prompt = said(("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d"), ("assistant", "e"))
    assert prompt.message == "c"
    assert [turn.content for turn in prompt.history] == ["a", "b"]
