"""Measures the time to the first delta with and without `warm`: `python -m tests.agents.first_delta [rounds] [names]`.

The model on loopback answers at once, so this measures the CLI. Between rounds the replacement of a process that
was ready has SETTLE_SECONDS to start: a worker that gets runs faster than that has no process ready.
"""

from __future__ import annotations

import sys
import time
from contextlib import aclosing
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from uuid import uuid4

import anyio
import uvloop

from shared.run.events import Delta
from shared.run.run import Turn
from tests.agents.clis import BEFORE, CLIS, HELLO, Cli
from tests.agents.model import served_model
from tests.worker.agents.asking import asked, text
from worker.agents.command.command_config import CommandConfig
from worker.agents.command.warm.driver_registry import DRIVERS
from worker.agents.opening import open_agents
from worker.agents.protocol import Agent, AgentInput, AgentOutput

SETTLE_SECONDS = 6.0


async def first_delta(agent: Agent, input: AgentInput) -> tuple[float, str]:
    """The milliseconds to the first delta, and the whole answer."""
    began, first, heard = time.monotonic(), 0.0, list[AgentOutput]()
    async with aclosing(agent.run(input)) as outputs:
        async for output in outputs:
            if not first and isinstance(output, Delta):
                first = (time.monotonic() - began) * 1000
            heard.append(output)
    return first, text(heard)


async def measure(cli: Cli, url: str, rounds: int) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "home").mkdir()
        environment = cli.settled(folder / "home", url)
        keys = {"kind": "command", "preset": cli.name, "args": cli.args}
        configs = {
            "cold": CommandConfig.model_validate(keys),
            "warm": CommandConfig.model_validate({**keys, "warm": 1}),
        }
        seen: dict[str, list[float]] = {"cold": [], "ready": [], "kept": []}
        async with open_agents(configs, environment, work_root=folder / "work") as agents:
            for _ in range(rounds):
                await anyio.sleep(SETTLE_SECONDS)
                cold = asked(HELLO, session_key=uuid4().hex)
                seen["cold"].append((await first_delta(agents["cold"], cold))[0])
                warm = cold.model_copy(update={"session_key": uuid4().hex, "named_session": True})
                first, answer = await first_delta(agents["warm"], warm)
                seen["ready"].append(first)
                history = (Turn(role="user", content=HELLO), Turn(role="assistant", content=answer))
                again = warm.model_copy(update={"message": BEFORE, "history": history})
                first, answer = await first_delta(agents["warm"], again)
                assert answer == "Hello was said.", answer
                seen["kept"].append(first)
        middle = {name: median(times) for name, times in seen.items()}
        for name, times in seen.items():
            spread = f"{min(times):.0f} to {max(times):.0f}"
            print(
                f"{cli.name} {name}: {middle[name]:.0f} ms ({spread}), {middle['cold'] / middle[name]:.1f} times faster"
            )


async def main(rounds: int, names: list[str]) -> None:
    with served_model() as url:
        for name in names or DRIVERS:
            await measure(CLIS[name], url, rounds)


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]) if sys.argv[1:] else 10, sys.argv[2:]))
