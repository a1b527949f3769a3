"""What Claude Code does besides answering, with the real CLI and a model on loopback."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from shared.run.flat_text import WholeText
from shared.run.run import Turn
from tests.agents.clis import CLIS
from tests.worker.agents.asking import asked, said
from worker.agents.command.command_agent import CommandAgent
from worker.agents.command.command_config import CommandConfig
from worker.agents.command.warm.warm_agent import open_warm
from worker.agents.protocol import Agent, AgentInput

pytestmark = pytest.mark.timeout(300)

BACKGROUND, SUM = "Work in the background", "What is 2+2?"
DONE = "I start it.\n\nI started it and will wait.\n\nIt is done."


def config(*args: str, **keys: object) -> CommandConfig:
    args = ("--allowedTools", "Bash", *args)
    return CommandConfig.model_validate({"kind": "command", "preset": "claude", "args": args, **keys})


def cold(folder: Path, model: str, *args: str) -> CommandAgent:
    (folder / "home").mkdir(exist_ok=True)
    environment = CLIS["claude"].settled(folder / "home", model)
    return CommandAgent(config(*args), environment, work_root=folder / "work")


async def whole(agent: Agent, input: AgentInput) -> str:
    text = WholeText()
    for event in await said(agent, input):
        text.feed(event)
    return str(text)


def named(message: str, *history: Turn) -> AgentInput:
    return asked(message, history=history).model_copy(update={"named_session": True})


async def test_work_in_the_background_is_part_of_the_answer(tmp_path: Path, model: str) -> None:
    assert await whole(cold(tmp_path, model), asked(BACKGROUND)) == DONE


@pytest.mark.parametrize("pause", [0, 0.5, 2])
async def test_a_kept_process_answers_no_other_question(tmp_path: Path, model: str, pause: float) -> None:
    """The second question comes while the CLI works for the first one, or has just begun to tell of it."""
    it = config(warm=1)
    assert it.warm
    (tmp_path / "home").mkdir()
    command = CommandAgent(it, CLIS["claude"].settled(tmp_path / "home", model), work_root=tmp_path / "work")
    async with open_warm("claude", command, it, it.warm, tmp_path / "work") as agent:
        first = await whole(agent, named(BACKGROUND))
        assert first == DONE
        await anyio.sleep(pause)
        history = (Turn(role="user", content=BACKGROUND), Turn(role="assistant", content=first))
        assert await whole(agent, named(SUM, *history)) == "The answer is 4."


async def test_the_answer_ends_with_the_object_that_a_schema_asks_for(tmp_path: Path, model: str) -> None:
    schema = '{"type":"object","properties":{"n":{"type":"number"}},"required":["n"]}'
    answer = await whole(cold(tmp_path, model, "--json-schema", schema), asked("Count them"))
    assert answer == 'Let me count them.\n\n{"n":3}'


async def test_a_sentence_that_the_model_began_twice_is_told_once(tmp_path: Path, model: str) -> None:
    assert await whole(cold(tmp_path, model), asked("Name the capital")) == "The capital of France is Paris."
