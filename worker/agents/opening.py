"""Opens the agents that agents.toml configures."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from shared.run.errors import SettingsError
from worker.agents.command.workdir import ROOT
from worker.agents.config import toml_table
from worker.agents.kinds import AgentConfig, Surroundings, open_agent
from worker.agents.protocol import Agent
from worker.agents.python.agent_loops import opened_loops


@asynccontextmanager
async def open_agents(
    configs: Mapping[str, AgentConfig], environment: Mapping[str, str], *, work_root: Path = ROOT
) -> AsyncIterator[Mapping[str, Agent]]:
    """Opens an agent for each config, and yields them by id or `*`. At the end it closes their resources.

    `environment` and `work_root` are those of `Surroundings`. Raises SettingsError for the first agent that cannot run
    on this machine.
    """
    async with AsyncExitStack() as stack:
        loops = await stack.enter_async_context(opened_loops())
        around = Surroundings(environment, work_root, loops, stack)
        agents: dict[str, Agent] = {}
        for agent_id, config in configs.items():
            try:
                agents[agent_id] = await open_agent(agent_id, config, around)
            except SettingsError as wrong:
                raise SettingsError(f"{toml_table(agent_id)} {wrong}") from wrong
        yield agents
