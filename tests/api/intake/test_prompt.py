from __future__ import annotations

import pytest
from pydantic import JsonValue

from api.http.api_errors import ApiError
from api.intake.prompt import Prompt, read_prompt
from shared.run.json_object import LEVELS, JsonObject
from shared.run.run import Part, ToolCall, Turn


def prompt_of(*messages: tuple[str, JsonValue]) -> Prompt:
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
        ([{"type": "image_url"}, {"type": "image_url", "image_url": 1}, {"type": "text", "text": "a"}], "a"),
        ([None, 1, "x", [], {"type": "text", "text": "a"}], "a"),
    ],
)
def test_the_text_of_a_message(content: JsonValue, text: str) -> None:
    assert prompt_of(("user", content)) == Prompt(text)


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
    with pytest.raises(ApiError, match="Missing user message") as failed:
        read_prompt(messages)
    assert failed.value.status == 400


def test_a_role_is_trimmed() -> None:
    assert prompt_of((" user\n", "Hi")) == Prompt("Hi")


def test_system_and_developer_texts_are_the_extra_system_prompt() -> None:
    prompt = prompt_of(("system", "a"), ("user", "Hi"), ("developer", " b "), ("system", ""))
    assert prompt == Prompt("Hi", extra_system_prompt="a\n\nb")


def test_earlier_turns_are_history() -> None:
    prompt = prompt_of(("user", "1"), ("assistant", "2"), ("user", "3"), ("assistant", "4"), ("user", "5"))
    history = [("user", "1"), ("assistant", "2"), ("user", "3"), ("assistant", "4")]
    assert prompt == Prompt("5", history=tuple(Turn(role=r, content=c) for r, c in history))


def test_of_several_user_texts_the_last_is_asked() -> None:
    earlier = Turn(role="user", content="same")
    assert prompt_of(("user", "same"), ("user", "same")) == Prompt("same", history=(earlier,))


def test_the_results_of_tools_belong_to_the_turn() -> None:
    prompt = prompt_of(("user", "Weather?"), ("assistant", None), ("tool", "Rain"), ("function", "8 degrees"))
    assert prompt == Prompt("Weather?\n\nTool result:\nRain\n\nTool result:\n8 degrees")


def test_the_results_of_tools_can_be_the_whole_turn() -> None:
    prompt = prompt_of(("user", "Weather?"), ("assistant", "I look."), ("tool", "Rain"))
    assert prompt.message == "Tool result:\nRain"
    assert [turn.content for turn in prompt.history] == ["Weather?", "I look."]


def test_results_before_the_last_answer_are_history() -> None:
    prompt = prompt_of(("user", "a"), ("tool", "b"), ("assistant", "c"), ("tool", "d"), ("user", "e"))
    assert prompt.message == "Tool result:\nd\n\ne"
    assert [turn.role for turn in prompt.history] == ["user", "tool", "assistant"]


def test_an_answer_at_the_end_is_passed_over() -> None:
    prompt = prompt_of(("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d"), ("assistant", "e"))
    assert prompt.message == "c"
    assert [turn.content for turn in prompt.history] == ["a", "b"]


# --- more than text ---------------------------------------------------------------------------------------------------

IMAGE: JsonObject = {"url": "data:image/png;base64,AAAA", "detail": "low"}
CALL: JsonObject = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"at": "Rome"}'}}
CALLS = Turn(role="assistant", content="", tool_calls=(ToolCall(id="c1", name="weather", arguments='{"at": "Rome"}'),))


def user(*content: JsonValue) -> JsonObject:
    return {"role": "user", "content": list(content)}


def test_a_picture_keeps_its_place_between_texts() -> None:
    content: list[JsonValue] = [
        {"type": "text", "text": "Before "},
        {"type": "image_url", "image_url": IMAGE},
        {"type": "text", "text": "and after?"},
    ]
    prompt = read_prompt([user(*content)])
    parts = (
        Part(type="text", value="Before "),
        Part(type="image_url", value=IMAGE),
        Part(type="text", value="and after?"),
    )
    turn = Turn(role="user", content="Before \nand after?", parts=parts)
    assert prompt == Prompt("Before \nand after?", current=(turn,))
    later = read_prompt(
        [user(*content), {"role": "assistant", "content": "A cat."}, user({"type": "text", "text": "?"})]
    )
    assert later.history[0] == turn
    assert later.current == ()


@pytest.mark.parametrize(
    ("part", "read", "name"),
    [
        ({"type": "image_url", "image_url": IMAGE}, Part(type="image_url", value=IMAGE), "[image]"),
        ({"type": "image_url", "image_url": "http://x"}, Part(type="image_url", value={"url": "http://x"}), "[image]"),
        (
            {"type": "input_image", "image_url": "http://x"},
            Part(type="image_url", value={"url": "http://x"}),
            "[image]",
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}},
            Part(type="input_audio", value={"data": "AA", "format": "wav"}),
            "[audio]",
        ),
        ({"type": "file", "file": {"file_id": "f1"}}, Part(type="file", value={"file_id": "f1"}), "[file]"),
    ],
)
def test_what_is_no_text_is_a_message_too(part: JsonObject, read: Part, name: str) -> None:
    """For an agent that reads only text, the message names what it cannot show."""
    assert read_prompt([user(part)]) == Prompt(name, current=(Turn(role="user", content=name, parts=(read,)),))


def test_results_of_tools_keep_whose_they_are() -> None:
    messages: list[JsonValue] = [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c1", "content": "Rain"},
        {"role": "tool", "tool_call_id": "c2", "content": ""},
    ]
    results = (
        Turn(role="tool", content="Rain", tool_call_id="c1"),
        Turn(role="tool", content="", tool_call_id="c2"),
    )
    question = Turn(role="user", content="Weather?")
    message = "Tool result:\nRain\n\nTool result:\n"
    assert read_prompt(messages) == Prompt(message, history=(question, CALLS), current=results)
    later = read_prompt([*messages, {"role": "assistant", "content": "It rains."}, {"role": "user", "content": "Oh."}])
    assert later.history == (question, CALLS, *results, Turn(role="assistant", content="It rains."))
    assert later.current == ()


def test_what_a_models_server_wants_back_comes_back() -> None:
    extra: JsonObject = {"extra_content": {"google": {"thought_signature": "x"}}}
    messages: list[JsonValue] = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "tool_calls": [{**CALL, **extra}]},
        {"role": "tool", "tool_call_id": "c1", "content": "Rain"},
    ]
    prompt = read_prompt(messages)
    assert prompt.history[1].tool_calls[0].extra == extra


@pytest.mark.parametrize(
    "calls",
    [None, "x", {}, [None], [{}], [{"id": "c1"}], [{**CALL, "id": ""}], [{**CALL, "function": {"name": "f"}}]],
)
def test_what_is_no_call_is_passed_over(calls: JsonValue) -> None:
    assert read_prompt(
        [{"role": "user", "content": "1"}, {"role": "assistant", "tool_calls": calls}, {"role": "user", "content": "2"}]
    ) == Prompt("2", history=(Turn(role="user", content="1"),))


def test_calls_without_a_result_are_passed_over_at_the_end() -> None:
    assert read_prompt([{"role": "user", "content": "1"}, {"role": "assistant", "tool_calls": [CALL]}]) == Prompt("1")


def test_what_is_passed_on_is_not_nested_without_end() -> None:
    deep: JsonValue = 1
    for _ in range(LEVELS):
        deep = [deep]
    messages: list[list[JsonValue]] = [
        [user({"type": "file", "file": {"x": deep}})],
        [{"role": "user", "content": "Hi"}, {"role": "assistant", "tool_calls": [{**CALL, "x": deep}]}],
    ]
    for one in messages:
        with pytest.raises(ApiError, match="nested too deeply") as failed:
            read_prompt(one)
        assert (failed.value.status, failed.value.error["param"]) == (400, "messages")
