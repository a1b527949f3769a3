"""Lists the kinds of agent, with their keys in agents.toml, and opens an agent of each kind.

A new kind is its agent, its config class, its place in `AgentConfig` and its case in `open_agent` here, a section of
docs/agents.md, and a table of agents.example.toml. mypy finds a kind without a case.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never, get_args

from worker.agents.command.command_config import CommandConfig
from worker.agents.demo_config import DemoConfig
from worker.agents.openai.openai_config import OpenAIConfig
from worker.agents.protocol import Agent
from worker.agents.python.agent_loops import Loops
from worker.agents.python.python_config import PythonConfig
from worker.agents.silence import BoundedSilence

AgentConfig = CommandConfig | PythonConfig | OpenAIConfig | DemoConfig

KINDS: Mapping[str, type[AgentConfig]] = {
    kind: config for config in get_args(AgentConfig) for kind in get_args(config.model_fields["kind"].annotation)
}


@dataclass(frozen=True)
class Surroundings:
    """The resources that agents use.

    `environment` has the variables that commands may get, and the keys of upstreams. `work_root` holds the directories
    of sessions. Python agents run in `loops`. `stack` closes the resources of agents.
    """

    environment: Mapping[str, str]
    work_root: Path
    loops: Loops
    stack: AsyncExitStack


async def open_agent(agent_id: str, config: AgentConfig, around: Surroundings) -> Agent:
    """Opens an agent that may be silent for as long as its table allows. Raises SettingsError when the agent cannot run
    on this machine."""
    agent = await _opened(agent_id, config, around)
    if config.silent_seconds is None or isinstance(config, CommandConfig):  # a command has more signs of life
        return agent
    return BoundedSilence(agent, config.silent_seconds)


async def _opened(agent_id: str, config: AgentConfig, around: Surroundings) -> Agent:
    """Each case imports its agent itself: the OpenAI client takes half a second to import, and `make run` reads the
    keys of agents without opening an agent."""
    match config:
        case CommandConfig():
            from worker.agents.command.command_agent import CommandAgent
            from worker.agents.command.warm.warm_agent import open_warm

            command = CommandAgent(config, around.environment, work_root=around.work_root)
            if config.warm is None:
                return command
            warm = open_warm(agent_id, command, config, config.warm, around.work_root)
            return await around.stack.enter_async_context(warm)
        case PythonConfig():
            from worker.agents.python.python_agent import PythonAgent, imported

            return PythonAgent(imported(config.entry), around.loops)
        case OpenAIConfig():
            from worker.agents.openai.openai_agent import open_openai

            return await around.stack.enter_async_context(open_openai(config, around.environment))
        case DemoConfig():
            from worker.agents.demo import DemoAgent

            return DemoAgent()
        case forgotten:
            assert_never(forgotten)
