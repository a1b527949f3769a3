"""The real CLIs with `warm`, as a worker runs them, with a model on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from shared.run.errors import ErrorCode, RunError
from shared.run.events import ToolUse, Usage
from shared.run.run import Turn
from tests.agents.clis import BEFORE, CLIS, HELLO, NOTE, REFUSED_KEY
from tests.worker.agents.asking import asked, said, text, until
from worker.agents.command.command_agent import CommandAgent
from worker.agents.command.command_config import CommandConfig
from worker.agents.command.warm.driver_registry import DRIVERS
from worker.agents.command.warm.warm_agent import WarmAgent, open_warm
from worker.agents.command.workdir import folder_name
from worker.agents.protocol import AgentEvent, AgentInput

pytestmark = pytest.mark.timeout(300)

SAID = "Hello from the model, said in several pieces."
HISTORY = (Turn(role="user", content=HELLO), Turn(role="assistant", content=SAID))


@dataclass(frozen=True)
class Warm:
    """An agent with a process that is ready."""

    agent: WarmAgent
    work: Path

    async def ask(self, message: str, *history: Turn, session: str = "ann") -> list[AgentEvent]:
        return await said(self.agent, self.input(message, *history, session=session))

    def input(self, message: str, *history: Turn, session: str = "ann") -> AgentInput:
        return asked(message, history=history, session_key=session).model_copy(update={"named_session": True})

    def note(self, session: str = "ann") -> str:
        return (self.work / folder_name(session) / "note.txt").read_text().strip()


@pytest.fixture(params=DRIVERS)
async def warm(request: pytest.FixtureRequest, tmp_path: Path, model: str) -> AsyncIterator[Warm]:
    cli = CLIS[request.param]
    (tmp_path / "home").mkdir()
    keys = {"kind": "command", "preset": cli.name, "args": cli.args, "warm": 1}
    config = CommandConfig.model_validate(keys)
    assert config.warm
    work = tmp_path / "work"
    command = CommandAgent(config, cli.settled(tmp_path / "home", model), work_root=work)
    async with open_warm(cli.name, command, config, config.warm, work) as agent:
        await until(lambda: agent.pool.ready)
        yield Warm(agent, work)


async def test_the_second_turn_knows_the_first(warm: Warm) -> None:
    """From the CLI's own conversation: the model would answer a transcript in the prompt with another text."""
    assert text(await warm.ask(HELLO)) == SAID
    heard = await warm.ask(BEFORE, *HISTORY)
    assert text(heard) == "Hello was said."
    assert [one for one in heard if isinstance(one, Usage)][-1] == Usage(
        prompt_tokens=25, completion_tokens=4, total_tokens=29
    )


async def test_another_session_does_not(warm: Warm) -> None:
    await warm.ask(HELLO)
    assert text(await warm.ask(BEFORE, session="bob")) == "A title"


async def test_files_lie_in_the_directory_of_the_session(warm: Warm) -> None:
    """Those of a process that started before the session was known, and of the process that replaces it."""
    heard = await warm.ask(NOTE)
    assert text(heard).endswith("The note is written.")
    assert {one.phase for one in heard if isinstance(one, ToolUse)} == {"start", "result"}
    assert warm.note() == "from the agent"
    (warm.work / folder_name("ann") / "note.txt").unlink()
    await warm.ask(NOTE, Turn(role="user", content="Elsewhere"), Turn(role="assistant", content="Done."))
    assert warm.note() == "from the agent"
    assert not (warm.work / folder_name("bob") / "note.txt").exists()


async def test_a_failed_turn_ends_the_process_and_the_next_one_is_told_the_transcript(warm: Warm) -> None:
    with pytest.raises(RunError) as failed:
        await warm.ask(REFUSED_KEY)
    expected = "The model's server refused this service's credentials."
    assert (failed.value.code, failed.value.message) == (ErrorCode.UPSTREAM_ERROR, expected)
    assert warm.agent.pool.kept == 0
    assert text(await warm.ask("And again", *HISTORY)) == SAID


@pytest.mark.parametrize("message", [f"--version {HELLO}", f"-h\n\n{HELLO}", f"$(touch note.txt) `id` '\"; {HELLO}"])
async def test_a_message_is_data(warm: Warm, message: str) -> None:
    assert text(await warm.ask(message)) == SAID
    assert not (warm.work / folder_name("ann") / "note.txt").exists()


@pytest.mark.parametrize("warm", ["claude"], indirect=True)
async def test_a_command_that_has_no_answer_in_between_has_one_at_the_end(warm: Warm) -> None:
    await warm.ask(HELLO)
    await warm.ask("/clear", *HISTORY)
    assert warm.agent.pool.kept == 0


async def test_it_waits_quietly(warm: Warm) -> None:
    """The worker ends a CLI that works without a request between two turns."""
    await warm.ask(HELLO)
    await warm.ask(HELLO, session="bob")
    assert warm.agent.pool.kept == 2
    assert text(await warm.ask(BEFORE, *HISTORY)) == "Hello was said."
