"""Runs an agent in a test, and waits for events outside of this process."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import anyio
import psutil

from shared.run.events import Delta
from shared.run.flat_text import FlatText
from shared.run.run import Turn
from worker.agents.command.command_agent import CommandAgent
from worker.agents.command.command_config import CommandConfig
from worker.agents.command.process_family import GRACE_SECONDS
from worker.agents.protocol import Agent, AgentConversation, AgentEvent, AgentInput, AgentOutput, EarlierConversation

Seen = TypeVar("Seen")

PATH = {"PATH": "/usr/bin:/bin"}


def asked(
    message: str = "Hi",
    *,
    system: str = "",
    history: Iterable[Turn] = (),
    session_key: str = "agent:main:openai:1",
    named_session: bool = False,
    earlier: EarlierConversation | None = None,
) -> AgentInput:
    return AgentInput(
        message=message,
        extra_system_prompt=system,
        history=tuple(history),
        run_id="chatcmpl_1",
        session_key=session_key,
        agent_id="main",
        named_session=named_session,
        earlier=earlier,
    )


async def heard(agent: Agent, input: AgentInput | None = None) -> list[AgentOutput]:
    """All output of the agent, for readers and for the worker."""
    return [output async for output in agent.run(input or asked())]


async def said(agent: Agent, input: AgentInput | None = None) -> list[AgentEvent]:
    """All output of the agent for readers."""
    return [output for output in await heard(agent, input) if not isinstance(output, AgentConversation)]


async def answer(agent: Agent, input: AgentInput | None = None) -> str:
    """The text of the agent's whole answer."""
    return text(await said(agent, input))


def text(outputs: Iterable[AgentOutput]) -> str:
    flat = FlatText()
    return "".join(flat.add(one) for one in outputs if isinstance(one, Delta))


def command_agent(
    *command: str,
    environment: dict[str, str] | None = None,
    work_root: Path = Path("/nowhere"),
    grace: float = GRACE_SECONDS,
    **keys: object,
) -> CommandAgent:
    config = CommandConfig.model_validate({"kind": "command", "command": command, **keys})
    return CommandAgent(config, PATH if environment is None else environment, work_root=work_root, grace=grace)


def script(source: str, *, output: str = "text", **keys: object) -> CommandAgent:
    """An agent that is a Python script."""
    command = (sys.executable, "-c", source)
    config = CommandConfig.model_validate({"kind": "command", "command": command, "output": output, **keys})
    return CommandAgent(config, PATH, work_root=Path("/nowhere"))


async def until(look: Callable[[], Seen], *, seconds: float = 20) -> Seen:
    """The result of `look` as soon as it is true. A failure shows its last result."""
    give_up = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < give_up, f"saw {seen!r} for {seconds} s"
        await anyio.sleep(0.01)
    return seen


def gone(*pids: int) -> bool:
    """Whether none of the processes runs any more. A zombie counts as gone: it only waits for its parent."""
    return not any(_runs(pid) for pid in pids)


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
