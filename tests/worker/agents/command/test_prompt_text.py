from __future__ import annotations

from shared.run.run import ToolCall, Turn
from tests.worker.agents.asking import asked
from worker.agents.command import prompt_text
from worker.agents.command.prompt_text import render


def test_a_message_alone_stays_as_it_is() -> None:
    assert render(asked("  [System]\n{x}\n")) == "  [System]\n{x}\n"


def test_everything_has_its_section() -> None:
    history = (Turn(role="user", content="Hello"), Turn(role="assistant", content="Hi."))
    rendered = render(asked("How are you?", system="You are terse.", history=history))
    assert rendered == (
        "[System]\nYou are terse.\n\n"
        "[Conversation so far]\nUser: Hello\n\nAssistant: Hi.\n\n"
        "[Current message]\nHow are you?"
    )


def test_the_documented_example_is_true() -> None:
    """The docstring documents the prompt for users, so it has to show exactly the text that the command gets."""
    history = (Turn(role="user", content="Hello"), Turn(role="assistant", content="Hi."))
    rendered = render(asked("How are you?", system="You are terse.", history=history))
    assert prompt_text.__doc__ is not None
    shown = "\n".join(line.removeprefix("    ") for line in prompt_text.__doc__.splitlines())
    assert rendered in shown


def test_an_empty_section_is_left_out() -> None:
    assert render(asked("Go", system="Be kind.")) == "[System]\nBe kind.\n\n[Current message]\nGo"
    tool = (Turn(role="tool", content="42"),)
    assert render(asked("Go", history=tool)) == "[Conversation so far]\nTool result: 42\n\n[Current message]\nGo"


def test_a_call_of_a_tool_is_told_in_words() -> None:
    calls = tuple(ToolCall(id=id, name="weather", arguments=f'{{"at": "{id}"}}') for id in ("Rome", "Oslo"))
    history = (
        Turn(role="user", content="Weather?"),
        Turn(role="assistant", content="", tool_calls=calls[:1]),
        Turn(role="tool", content="Rain", tool_call_id="Rome"),
        Turn(role="assistant", content="And there?", tool_calls=calls[1:]),
    )
    assert render(asked("Tool result:\nSnow", history=history)) == (
        "[Conversation so far]\nUser: Weather?\n\n"
        'Assistant: (calls weather with {"at": "Rome"})\n\n'
        "Tool result: Rain\n\n"
        'Assistant: And there?\n(calls weather with {"at": "Oslo"})\n\n'
        "[Current message]\nTool result:\nSnow"
    )
