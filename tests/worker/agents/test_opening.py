from __future__ import annotations

from pathlib import Path

import pytest

from shared.run.errors import SettingsError
from tests.worker.agents.asking import answer, asked, until
from worker.agents.command.command_config import CommandConfig
from worker.agents.command.warm.warm_agent import WarmAgent
from worker.agents.config import load_agents
from worker.agents.demo import DemoAgent
from worker.agents.demo_config import DemoConfig
from worker.agents.kinds import AgentConfig
from worker.agents.openai.openai_config import OpenAIConfig
from worker.agents.opening import open_agents
from worker.agents.python.python_config import PythonConfig

PATH = {"PATH": "/usr/bin:/bin"}
ECHO = PythonConfig(kind="python", entry="examples.python.echo:reply")
PWD = CommandConfig(kind="command", command=("pwd",), workdir="{session}")
GPT = OpenAIConfig(kind="openai", base_url="http://127.0.0.1:1/v1", model="m", api_key_env="KEY")


async def complaint(configs: dict[str, AgentConfig]) -> str:
    with pytest.raises(SettingsError) as wrong:
        async with open_agents(configs, PATH):
            pass
    assert "\n" not in str(wrong.value)
    return str(wrong.value)


@pytest.mark.slow
async def test_each_entry_becomes_an_agent(tmp_path: Path) -> None:
    configs: dict[str, AgentConfig] = {"echo": ECHO, "pwd": PWD, "gpt": GPT, "*": DemoConfig()}
    async with open_agents(configs, {**PATH, "KEY": "secret"}, work_root=tmp_path) as agents:
        assert list(agents) == ["echo", "pwd", "gpt", "*"]
        assert await answer(agents["echo"], asked("Hi")) == "Hi "
        assert (await answer(agents["pwd"])).startswith(str(tmp_path))
        assert isinstance(agents["*"], DemoAgent)


@pytest.mark.slow
async def test_the_example_in_the_repository_can_be_opened_and_answers(tmp_path: Path) -> None:
    configs = load_agents(Path("agents.example.toml"), required=True)
    async with open_agents(configs, PATH, work_root=tmp_path) as agents:
        assert await answer(agents["main"], asked("one two")) == "one two "
        assert await answer(agents["wc"], asked("one two")) == "2 words"
        dice = await answer(agents["dice"], asked("Roll!"))
        assert dice.startswith("You said 'Roll!'. Let me roll.\n\nIt is a ")


@pytest.mark.slow
async def test_a_command_may_be_kept_warm(tmp_path: Path) -> None:
    warm = CommandConfig.model_validate({"kind": "command", "command": ["cat"], "output": "claude", "warm": 1})
    async with open_agents({"main": warm}, PATH, work_root=tmp_path) as agents:
        agent = agents["main"]
        assert isinstance(agent, WarmAgent)
        await until(lambda: agent.pool.ready)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            CommandConfig(kind="command", command=("no-such",)),
            "command: no executable 'no-such' on PATH (/usr/bin:/bin)",
        ),
        (
            PythonConfig(kind="python", entry="no_such:reply"),
            "entry: no_such:reply cannot be imported: No module named",
        ),
        (GPT, "api_key_env: the environment variable KEY is not set"),
    ],
)
async def test_an_agent_that_cannot_run_here_is_named(config: AgentConfig, message: str) -> None:
    assert (await complaint({"main": DemoConfig(), "x": config})).startswith(f"[agents.x] {message}")
    assert (await complaint({"*": config})).startswith(f'[agents."*"] {message}')
