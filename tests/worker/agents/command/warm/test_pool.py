from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import anyio
import pytest

from shared.run.errors import RunError
from tests.worker.agents.asking import gone, until
from tests.worker.agents.command.warm.warm_sessions import FAKE_CLI, Session, opened, processes, started_ahead

pytestmark = pytest.mark.slow


async def test_turns_enough(tmp_path: Path) -> None:
    async with opened(tmp_path, turns=2) as agent:
        ann = Session(agent)
        pids = [(await ann.ask()).pid for _ in range(4)]
        assert pids[0] == pids[1] != pids[2] == pids[3]


async def test_idle_too_long(tmp_path: Path) -> None:
    async with opened(tmp_path, idle_seconds=0.01) as agent:
        ann = Session(agent)
        first = await ann.ask("One")
        await until(lambda: gone(first.pid))
        assert "User: One" in (await ann.ask("Two")).prompts[0]


async def test_who_has_waited_longest_makes_room(tmp_path: Path) -> None:
    async with opened(tmp_path, kept=2) as agent:
        a, b, c = (Session(agent, key) for key in "abc")
        pid_a, pid_b = (await a.ask()).pid, (await b.ask()).pid
        await a.ask()
        pid_c = (await c.ask()).pid
        await until(lambda: processes() == {pid_a, pid_c})
        assert gone(pid_b)


async def test_none_is_kept_if_none_shall_be(tmp_path: Path) -> None:
    async with opened(tmp_path, kept=0) as agent:
        assert gone((await Session(agent).ask()).pid)


async def test_a_ready_process_takes_the_first_turn_and_another_its_place(tmp_path: Path) -> None:
    async with opened(tmp_path, ready=1) as agent:
        [ready] = await started_ahead(agent)
        assert (await Session(agent).ask()).pid == ready
        await until(lambda: len(processes()) == 2)


async def test_a_ready_process_that_ends_is_replaced(tmp_path: Path) -> None:
    async with opened(tmp_path, ready=1) as agent:
        [ready] = await started_ahead(agent)
        os.kill(ready, signal.SIGKILL)
        await until(lambda: processes() - {ready})


async def test_a_run_does_not_wait_for_processes_that_cannot_be_started_ahead(tmp_path: Path) -> None:
    """The pool tries to start them again ever more rarely. A run starts its own process and reports the failure."""
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\nexit 4\n")
    tool.chmod(0o700)
    async with opened(tmp_path / "work", str(tool), ready=1) as agent:
        with pytest.raises(RunError, match="exited with code 4"):
            await Session(agent).ask()
        await until(
            lambda: agent.pool._failures and not agent.pool.ready
        )  # none that was started ahead by the old file is left
        tool.write_text(f"#!/bin/sh\nexec {sys.executable} {FAKE_CLI}\n")
        assert (await Session(agent).ask("Now")).prompts == ["Now"]


async def test_a_run_cancelled_at_any_moment_leaves_no_process(tmp_path: Path) -> None:
    """Also while it takes a waiting process, and while it starts one."""
    async with opened(tmp_path, ready=1, kept=1) as agent:
        ann = Session(agent)
        for steps in range(15):
            await ann.ask("Go")
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ann.ask, "hang")
                for _ in range(steps):
                    await anyio.lowlevel.checkpoint()
                tasks.cancel_scope.cancel()
            await until(lambda: len(processes()) <= 2)
            ann.history.clear()
