from __future__ import annotations

import pytest
from pydantic import JsonValue

from shared.run.run import Part, ToolCall, Turn
from tests.worker.agents.asking import asked
from worker.agents.python.frameworks.messages import Message, Picture, conversation

DOT = "data:image/png;base64,iVBORw0KGgo="


def test_the_conversation_is_history_and_message() -> None:
    history = [Turn(role="user", content="One"), Turn(role="assistant", content="Two")]
    assert conversation(asked("Three", history=history)) == [
        Message("user", "One"),
        Message("assistant", "Two"),
        Message("user", "Three"),
    ]


def test_a_client_s_tools_are_told_in_words() -> None:
    call = ToolCall(id="1", name="look", arguments="{}")
    history = [Turn(role="assistant", content="", tool_calls=(call,))]
    current = (Turn(role="tool", content="Nothing.", tool_call_id="1"), Turn(role="user", content="And?"))
    input = asked("And?", history=history).model_copy(update={"current": current})
    assert conversation(input) == [
        Message("assistant", "(calls look with {})"),
        Message("user", "Tool result:\nNothing."),
        Message("user", "And?"),
    ]


def shown(*parts: Part) -> Message:
    current = (Turn(role="user", content="in words", parts=parts),)
    (message,) = conversation(asked().model_copy(update={"current": current}))
    return message


def test_pictures_stay_pictures() -> None:
    parts = (Part(type="text", value="What is it?"), Part(type="image_url", value={"url": DOT}))
    assert shown(*parts) == Message("user", ("What is it?", Picture(DOT)))
    url = "https://pictures.example/1.png"
    audio = Part(type="input_audio", value={"data": "x"})
    assert shown(Part(type="image_url", value={"url": url}), audio) == Message("user", (Picture(url), "[audio]"))


def test_what_no_framework_takes_is_told_in_words() -> None:
    assert shown(Part(type="file", value={"file_id": "1"})) == Message("user", "in words")


@pytest.mark.parametrize(
    "url", ["/etc/passwd", "file:///etc/passwd", "http://localhost:6379/", "gs://bucket/x", "data:text/html,x", 1, None]
)
def test_nothing_is_read_from_the_worker_s_machine(url: JsonValue) -> None:
    parts = (Part(type="image_url", value={"url": DOT}), Part(type="image_url", value={"url": url}))
    assert shown(*parts) == Message("user", (Picture(DOT), "[image]"))
