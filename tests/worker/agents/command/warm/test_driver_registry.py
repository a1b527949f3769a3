"""The rules that hold for every driver, checked with the recorded output of the real CLIs."""

from __future__ import annotations

import pytest

from shared.run.events import Reasoning, ToolUse, Usage
from tests.agents.clis import TOOLS
from tests.worker.agents.asking import text
from tests.worker.agents.command.warm.playback import recorded
from worker.agents.command.presets import PRESETS
from worker.agents.command.warm.driver_registry import DRIVERS
from worker.agents.protocol import AgentEvent

HELLO = "Hello from the model, said in several pieces."


def counted(said: list[AgentEvent]) -> Usage:
    return [one for one in said if isinstance(one, Usage)][-1]


def test_every_preset_with_a_command_line_for_it_can_be_talked_to() -> None:
    assert set(DRIVERS) == {name for name, preset in PRESETS.items() if preset.warm}


@pytest.mark.parametrize("cli", DRIVERS)
def test_a_conversation_turn_by_turn(cli: str) -> None:
    """Each turn has its own events and its own tokens, and ends at its own end."""
    playback = recorded(cli, "conversation")
    said = playback.turn("Say hello")
    assert text(said) == HELLO
    assert counted(said) == Usage(prompt_tokens=12, completion_tokens=9, total_tokens=21)
    said = playback.turn("What was said before?")
    assert text(said) == "Hello was said."
    assert counted(said) == Usage(prompt_tokens=25, completion_tokens=4, total_tokens=29)
    said = playback.turn("Write the note")
    assert text(said) == "I shall write it.\n\nThe note is written."
    assert [(one.phase, one.name) for one in said if isinstance(one, ToolUse)] == [
        ("start", TOOLS[cli]),
        ("result", TOOLS[cli]),
    ]
    # `opencode acp` counts the last step of a turn only.
    assert counted(said).total_tokens == (46 if cli == "opencode" else 86)
    assert playback.left == []
    assert playback.skipped == {}


@pytest.mark.parametrize("cli", DRIVERS)
def test_thoughts(cli: str) -> None:
    said = recorded(cli, "thinking").turn()
    assert "".join(one.delta for one in said if isinstance(one, Reasoning)) == "First I think about it."
    assert text(said) == "Now I have thought."


@pytest.mark.parametrize("cli", DRIVERS)
def test_a_refused_key(cli: str) -> None:
    message = "The model's server refused this service's credentials."
    assert recorded(cli, "refused-key").failure() == ("upstream_error", message)
