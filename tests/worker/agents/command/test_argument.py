from __future__ import annotations

import pytest

from worker.agents.command.argument import is_place, with_prompt


def test_the_prompt_is_the_last_item_when_nothing_else_is_said() -> None:
    assert with_prompt(["agent", "-p"], "Hi there") == ["agent", "-p", "Hi there"]


@pytest.mark.parametrize(
    ("command", "filled"),
    [
        (["agent", "{prompt}", "--json"], ["agent", "Hi", "--json"]),
        (["agent", "--prompt={prompt}", "-q"], ["agent", "--prompt=Hi", "-q"]),
        (["agent", "-p={prompt}"], ["agent", "-p=Hi"]),
    ],
)
def test_the_prompt_stands_where_it_was_asked_for(command: list[str], filled: list[str]) -> None:
    assert with_prompt(command, "Hi") == filled


@pytest.mark.parametrize(
    ("command", "filled"),
    [
        (["agent", "--"], ["agent", "--", "-rf /"]),
        (["agent", "--", "{prompt}"], ["agent", "--", "-rf /"]),
        (["agent", "--prompt={prompt}"], ["agent", "--prompt=-rf /"]),
        (["agent", "-p"], ["agent", "-p", " -rf /"]),
        (["agent", "--", "file"], ["agent", "--", "file", " -rf /"]),
    ],
)
def test_a_prompt_that_begins_with_a_dash_is_never_an_option(command: list[str], filled: list[str]) -> None:
    """It is exact where the command line protects it, and has a space in front where it does not."""
    assert with_prompt(command, "-rf /") == filled


def test_a_prompt_is_not_filled_in_twice() -> None:
    assert with_prompt(["agent", "{prompt}"], "say {prompt}") == ["agent", "say {prompt}"]


def test_nul_cannot_be_in_an_argument() -> None:
    assert with_prompt(["agent"], "a\0b") == ["agent", "a\ufffdb"]


@pytest.mark.parametrize("item", ["echo {prompt}", "{prompt};", "--a b={prompt}", "print('{prompt}')", "x={prompt}"])
def test_a_prompt_has_no_place_inside_of_other_text(item: str) -> None:
    assert not is_place(item)
