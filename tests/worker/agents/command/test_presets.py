from __future__ import annotations

import json
import re
from pathlib import Path
from typing import get_args

import pytest

from shared.settings import SETTINGS
from tests.worker.agents.asking import answer, asked
from tests.worker.agents.command.formats.recorded import FIXTURES
from worker.agents.command.command_agent import CommandAgent
from worker.agents.command.command_config import CommandConfig
from worker.agents.command.formats.format_registry import FORMATS
from worker.agents.command.presets import DEFAULT_ENV, PRESETS, filled

DOCS = Path("docs/agents.md").read_text()


def config(preset: str, **keys: object) -> CommandConfig:
    return CommandConfig.model_validate({"kind": "command", "preset": preset, **keys})


def test_every_format_has_a_preset_and_can_be_written() -> None:
    output = CommandConfig.model_fields["output"].annotation
    preset = CommandConfig.model_fields["preset"].annotation
    assert set(PRESETS) == set(FORMATS) == set(get_args(output)) - {"text", "jsonl"}
    assert set(PRESETS) == set(get_args(get_args(preset)[0]))


@pytest.mark.parametrize("preset", PRESETS)
def test_the_prompt_is_no_argument_and_the_directory_the_sessions(preset: str) -> None:
    agent = config(preset)
    assert (agent.input, agent.workdir, agent.output) == ("stdin", "{session}", preset)
    assert set(DEFAULT_ENV) < set(agent.env)


@pytest.mark.parametrize("preset", PRESETS)
def test_no_setting_of_the_service_reaches_a_cli(preset: str) -> None:
    """The settings hold the tokens of clients and the password of Redis."""
    assert {row.name for row in SETTINGS}.isdisjoint(config(preset).env)


def test_every_key_can_be_written_beside_a_preset() -> None:
    written = {
        "command": ["x"],
        "args": ["y"],
        "resume": [],
        "forget": ["z"],
        "input": "json",
        "output": "text",
        "env": [],
        "workdir": "/",
        "silent_seconds": 60,
    }
    assert filled("claude", written) == written


@pytest.mark.slow
async def test_arguments_are_put_behind_the_command(tmp_path: Path) -> None:
    tool = tmp_path / "pi"
    tool.write_text('#!/bin/sh\necho "$@"\n')
    tool.chmod(0o700)
    agent = CommandAgent(
        config("pi", args=["--model", "x"], output="text"), {"PATH": str(tmp_path)}, work_root=tmp_path
    )
    assert await answer(agent, asked(named_session=True)) == "--mode json -p --model x\n"


@pytest.mark.parametrize("preset", [name for name, preset in PRESETS.items() if preset.warm])
def test_what_was_tried_with_warm_is_documented(preset: str) -> None:
    about = json.loads((FIXTURES / preset / "about.json").read_text())
    assert about["warm"] == " ".join(config(preset, warm=1).command) == PRESETS[preset].warm
    assert f"| `{preset}` | `{about['warm']}` |" in DOCS


@pytest.mark.parametrize("preset", PRESETS)
def test_what_was_tried_is_documented(preset: str) -> None:
    """The records, the table in the docs and the preset have one version and one command line."""
    about = json.loads((FIXTURES / preset / "about.json").read_text())
    row = re.search(rf"^\| `{preset}` \| [\w ]* ([\d.]+) \| `([^`]+)` \|.* ([\w`]+) \|$", DOCS, re.MULTILINE)
    assert row
    assert row.groups() == (about["version"], about["command"], "yes" if config(preset).resume else "no")
    assert about["command"] == " ".join(config(preset).command) == PRESETS[preset].command
