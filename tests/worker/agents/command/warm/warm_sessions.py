"""Clients of a warm agent, whose CLI is `fake_cli.py`."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import psutil
from pydantic import BaseModel

from shared.run.run import Turn
from tests.worker.agents.asking import PATH, answer, asked, until
from worker.agents.command.command_agent import CommandAgent
from worker.agents.command.command_config import CommandConfig
from worker.agents.command.warm.warm_agent import WarmAgent, open_warm
from worker.agents.protocol import Agent, AgentInput

FAKE_CLI = Path(__file__).with_name("fake_cli.py")


class Knows(BaseModel):
    """The answer of a process: its own state."""

    pid: int
    folder: Path
    prompts: list[str]
    variables: dict[str, str]


@dataclass
class Session:
    """A client that comes back, and the transcript that the service keeps for it."""

    agent: Agent
    key: str = "agent:main:openai-user:ann"
    system: str = ""
    history: list[Turn] = field(default_factory=list)
    named_session: bool = True

    def input(self, message: str = "Hi") -> AgentInput:
        it = asked(message, session_key=self.key, history=self.history, system=self.system)
        return it.model_copy(update={"named_session": self.named_session})

    async def ask(self, message: str = "Hi") -> Knows:
        text = await answer(self.agent, self.input(message))
        self.history += [Turn(role="user", content=message), Turn(role="assistant", content=text)]
        return Knows.model_validate_json(text)


def config(
    *command: str, workdir: str = "{session}", limits: Mapping[str, int] = MappingProxyType({}), **warm: object
) -> CommandConfig:
    command = command or (sys.executable, str(FAKE_CLI))
    keys = {"command": command, "output": "claude", "workdir": workdir, "limits": limits, "warm": warm}
    return CommandConfig.model_validate({"kind": "command", **keys})


@asynccontextmanager
async def opened(
    work_root: Path,
    *command: str,
    workdir: str = "{session}",
    limits: Mapping[str, int] = MappingProxyType({}),
    **warm: object,
) -> AsyncIterator[WarmAgent]:
    it = config(*command, workdir=workdir, limits=limits, **{"ready": 0, **warm})
    assert it.warm
    agent = CommandAgent(it, PATH, work_root=work_root)
    async with open_warm("main", agent, it, it.warm, work_root, rest=0) as warm_agent:
        yield warm_agent


async def started_ahead(agent: WarmAgent) -> set[int]:
    """The processes of the agent, as soon as the configured number is ready."""
    await until(lambda: agent.pool.ready)
    return processes()


def processes() -> set[int]:
    """The processes of the CLI that this test process has started."""
    return {child.pid for child in psutil.Process().children() if _is_cli(child)}


def _is_cli(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return str(FAKE_CLI) in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE
    return False
