from __future__ import annotations

from pathlib import Path

import pytest

from shared.run.errors import RunError
from tests.worker.agents.asking import answer, gone, until
from tests.worker.agents.command.warm.warm_sessions import Session, opened

pytestmark = pytest.mark.slow


async def test_what_a_process_wrote_to_stderr_is_for_operators(tmp_path: Path) -> None:
    async with opened(tmp_path) as agent:
        with pytest.raises(RunError) as failed:
            await Session(agent).ask("exit")
        assert failed.value.detail == "out of order"


async def test_a_process_that_speaks_unasked_is_ended(tmp_path: Path) -> None:
    """The worker could take its lines for the next answer."""
    async with opened(tmp_path) as agent:
        ann = Session(agent)
        first = await ann.ask("wake")
        await until(lambda: gone(first.pid))
        assert "Nobody asked." not in str(await ann.ask())


async def test_a_command_of_the_cli_is_its_last(tmp_path: Path) -> None:
    async with opened(tmp_path) as agent:
        ann = Session(agent)
        first = await ann.ask()
        assert await answer(agent, ann.input("/clear")) == "Cleared."
        assert gone(first.pid)


async def test_what_a_process_has_started_ends_with_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as agent:
        knows = await Session(agent).ask("spawn")
        assert not gone(knows.pid)
    assert gone(knows.pid)


async def test_its_limits_are_those_of_any_command(tmp_path: Path) -> None:
    async with opened(tmp_path, limits={"cpu_seconds": 1}) as agent:
        with pytest.raises(RunError, match="used more than 1 s of CPU time") as failed:
            await Session(agent).ask("spin")
        assert "cpu_seconds = 1" in failed.value.detail
