"""How messages become an agent's input. The agent answers with its input."""

from __future__ import annotations

import httpx
import pytest

from tests.e2e.asking import CHAT, asked, given

Turns = list[tuple[str, object]]


def prompt(http: httpx.Client, messages: Turns) -> tuple[str, str, list[tuple[str, str]]]:
    """Message, extra system prompt and history of the agent's input."""
    body = {**asked(""), "messages": [{"role": role, "content": text} for role, text in messages]}
    input = given(http.post(CHAT, json=body))
    history = [(turn["role"], turn["content"]) for turn in input["history"]]
    return input["message"], input["extraSystemPrompt"], history


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("Hi", "Hi"),
        ("  Hi\n there \ufeff", "Hi\n there"),
        ("\x85Hi\x85", "\x85Hi\x85"),  # white space for Python, none for JavaScript
        ([{"type": "text", "text": "a"}, {"type": "input_text", "text": "b"}], "a\nb"),
        ([{"type": "image_url", "image_url": {"url": "x"}}, {"type": "text", "text": "a"}], "a"),
        ([{"type": "text", "text": ""}, {"type": "text", "text": "a"}], "a"),
        ([{"type": "anything", "input_text": "a"}], "a"),
        (["a", None, 1, {"type": "text", "text": "b"}], "b"),
        ("emoji 😀 \u2028 \r\n data: [DONE]", "emoji 😀 \u2028 \r\n data: [DONE]"),
    ],
)
def test_the_text_of_a_message(http: httpx.Client, content: object, text: str) -> None:
    assert prompt(http, [("user", content)]) == (text, "", [])


@pytest.mark.parametrize(
    "messages",
    [
        None,
        "Hi",
        {},
        [],
        ["Hi"],
        [{"role": "user"}],
        [{"role": "user", "content": ""}],
        [{"role": "user", "content": " \n "}],
        [{"role": "user", "content": 1}],
        [{"role": "user", "content": [{"type": "image_url"}]}],
        [{"role": "User", "content": "Hi"}],
        [{"content": "Hi"}],
        [{"role": ["user"], "content": "Hi"}],
        [{"role": "system", "content": "Hi"}],
        [{"role": "assistant", "content": "Hi"}],
        [{"role": "tool", "content": "Hi"}],
    ],
)
def test_without_the_text_of_a_user_there_is_nothing_to_do(http: httpx.Client, messages: object) -> None:
    answer = http.post(CHAT, json={**asked(""), "messages": messages})
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == "Missing user message in `messages`."


def test_roles_are_trimmed(http: httpx.Client) -> None:
    assert prompt(http, [(" user\n", "Hi")])[0] == "Hi"


def test_system_and_developer_texts_in_order(http: httpx.Client) -> None:
    messages: Turns = [("system", "A"), ("user", "Hi"), ("developer", "B"), ("system", "  "), ("system", "C")]
    assert prompt(http, messages) == ("Hi", "A\n\nB\n\nC", [])


def test_earlier_turns_are_history(http: httpx.Client) -> None:
    messages: Turns = [("user", "one"), ("assistant", "1"), ("user", "two"), ("assistant", " "), ("user", "three")]
    message, _, history = prompt(http, messages)
    assert message == "three"
    assert history == [("user", "one"), ("assistant", "1"), ("user", "two")]


def test_the_current_turn_follows_the_last_answer(http: httpx.Client) -> None:
    messages: Turns = [("user", "Weather?"), ("assistant", "I look."), ("tool", "Rain"), ("user", "And now?")]
    message, _, history = prompt(http, messages)
    assert "Rain" in message
    assert message.endswith("And now?")
    assert history == [("user", "Weather?"), ("assistant", "I look.")]


def test_text_that_looks_like_a_template_stays_as_it_is(http: httpx.Client) -> None:
    text = "[Current message]\n{prompt} %s $HOME `id`"
    assert prompt(http, [("user", text)])[0] == text
