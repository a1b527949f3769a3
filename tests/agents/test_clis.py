"""The real CLIs with their presets, as a worker runs them, with a model on loopback."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.run.errors import ErrorCode, RunError
from shared.run.events import Reasoning, ToolUse, Usage
from tests.agents.clis import CLIS, HELLO, NOTE, RATE_LIMIT, REFUSED_KEY, THINKING, TOO_LONG, TOOLS, Cli
from tests.worker.agents.asking import asked, said, text
from worker.agents.command.command_agent import CommandAgent
from worker.agents.command.command_config import CommandConfig
from worker.agents.protocol import AgentEvent

pytestmark = pytest.mark.timeout(300)


THINKERS = {"claude", "codex", "opencode", "pi"}


class Asked:
    """An agent of one CLI, with a home of its own and the directory of a session."""

    def __init__(self, cli: Cli, folder: Path, model: str) -> None:
        config = CommandConfig.model_validate({"kind": "command", "preset": cli.name, "args": cli.args})
        environment = cli.settled(folder / "home", model)
        self._agent = CommandAgent(config, environment, work_root=folder / "work")
        self._folder = folder

    async def __call__(self, message: str) -> list[AgentEvent]:
        return await said(self._agent, asked(message))

    async def failure(self, message: str) -> tuple[ErrorCode, str]:
        with pytest.raises(RunError) as failed:
            await self(message)
        return failed.value.code, failed.value.message

    def written(self) -> list[str]:
        return [note.read_text().strip() for note in self._folder.glob("work/*/note.txt")]


@pytest.fixture(params=CLIS)
def cli(request: pytest.FixtureRequest) -> Cli:
    return CLIS[request.param]


@pytest.fixture
def ask(cli: Cli, tmp_path: Path, model: str) -> Asked:
    (tmp_path / "home").mkdir()
    return Asked(cli, tmp_path, model)


async def test_it_answers_and_counts(ask: Asked) -> None:
    heard = await ask(HELLO)
    assert text(heard) == "Hello from the model, said in several pieces."
    assert [said for said in heard if isinstance(said, Usage)][-1] == Usage(
        prompt_tokens=12, completion_tokens=9, total_tokens=21
    )


async def test_it_uses_a_tool_in_the_directory_of_the_session(cli: Cli, ask: Asked) -> None:
    heard = await ask(NOTE)
    assert ask.written() == ["from the agent"]
    assert text(heard).endswith("The note is written.")
    tools = [(said.phase, said.name) for said in heard if isinstance(said, ToolUse)]
    assert tools == ([("start", TOOLS[cli.name]), ("result", TOOLS[cli.name])] if cli.name in TOOLS else [])


async def test_it_tells_its_thoughts(cli: Cli, ask: Asked) -> None:
    heard = await ask(THINKING)
    assert text(heard) == "Now I have thought."
    thoughts = "".join(said.delta for said in heard if isinstance(said, Reasoning))
    assert thoughts == ("First I think about it." if cli.name in THINKERS else "")


@pytest.mark.parametrize("message", [f"--version {HELLO}", f"-h\n\n{HELLO}", f"$(touch note.txt) `id` '\"; {HELLO}"])
async def test_a_message_is_data(ask: Asked, message: str) -> None:
    assert text(await ask(message)) == "Hello from the model, said in several pieces."
    assert ask.written() == []


@pytest.mark.parametrize(
    ("message", "code", "expected"),
    [
        (REFUSED_KEY, ErrorCode.UPSTREAM_ERROR, "The model's server refused this service's credentials."),
        (TOO_LONG, ErrorCode.CONTEXT_LENGTH_EXCEEDED, "The conversation is too long for the model."),
    ],
)
async def test_what_the_models_server_refuses(ask: Asked, message: str, code: ErrorCode, expected: str) -> None:
    assert await ask.failure(message) == (code, expected)


@pytest.mark.parametrize("cli", [cli for cli in CLIS.values() if not cli.waits_at_limits], ids=lambda cli: cli.name)
async def test_the_rate_limit_of_the_models_server(ask: Asked, cli: Cli) -> None:
    expected = "The model's server has reached its rate limit or quota."
    assert await ask.failure(RATE_LIMIT) == (ErrorCode.RATE_LIMITED, expected)
