"""From what an operator wrote to agents that can run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from shared.run.errors import SettingsError
from worker.agents.command.command_agent import CommandAgent
from worker.agents.command.warm.warm_agent import open_warm
from worker.agents.command.workdir import ROOT
from worker.agents.config import AgentConfig, CommandConfig, DemoConfig, OpenAIConfig, PythonConfig, toml_table
from worker.agents.demo import DemoAgent
from worker.agents.protocol import Agent
from worker.agents.python.loops import Loops, opened_loops
from worker.agents.python.python_agent import PythonAgent, imported


@asynccontextmanager
async def open_agents(
    configs: Mapping[str, AgentConfig], environment: Mapping[str, str], *, work_root: Path = ROOT
) -> AsyncIterator[Mapping[str, Agent]]:
    """One agent per entry, by its id or `*`; what they hold open is closed on leaving.

    `environment` is where commands get what they are allowed, and upstreams their keys. Directories of
    sessions are made in `work_root`. Raises SettingsError for the first agent that cannot run here.
    """
    async with AsyncExitStack() as stack:
        agents: dict[str, Agent] = {}
        loops = await stack.enter_async_context(opened_loops())
        for agent_id, config in configs.items():
            try:
                agents[agent_id] = await _opened(agent_id, config, environment, work_root, loops, stack)
            except SettingsError as wrong:
                raise SettingsError(f"{toml_table(agent_id)} {wrong}") from wrong
        yield agents


async def _opened(
    agent_id: str,
    config: AgentConfig,
    environment: Mapping[str, str],
    work_root: Path,
    loops: Loops,
    stack: AsyncExitStack,
) -> Agent:
    match config:
        case CommandConfig():
            command = CommandAgent(config, environment, work_root=work_root)
            if config.warm is None:
                return command
            return await stack.enter_async_context(open_warm(agent_id, command, config, config.warm, work_root))
        case PythonConfig():
            return PythonAgent(imported(config.entry), loops)
        case OpenAIConfig():
            from worker.agents.openai.openai_agent import open_openai  # half a second, which only those pay who use it

            return await stack.enter_async_context(open_openai(config, environment))
        case DemoConfig():
            return DemoAgent()
