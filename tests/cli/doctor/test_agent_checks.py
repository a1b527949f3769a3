from __future__ import annotations

import os
from pathlib import Path

import pytest

from cli.doctor.agent_checks import agents_file

pytestmark = pytest.mark.slow

ENVIRONMENT = {"PATH": os.defpath}


async def looked_at(folder: Path, text: str) -> tuple[str, str]:
    file = folder / "agents.toml"
    file.write_text(text)
    (finding,) = await agents_file({**ENVIRONMENT, "AGENTS_FILE": str(file)}, file)
    return finding.level, finding.seen


async def test_a_script_that_is_not_there_is_told(tmp_path: Path) -> None:
    text = '[agents.main]\nkind = "command"\ncommand = ["sh"]\nargs = ["nosuch.sh"]\n'
    level, seen = await looked_at(tmp_path, text)
    assert level == "bad"
    assert seen.startswith("[agents.main] command: sh should run 'nosuch.sh', which is no file in ")


async def test_agents_that_could_be_served_are_counted(tmp_path: Path) -> None:
    level, seen = await looked_at(tmp_path, '[agents.main]\nkind = "demo"\n')
    assert (level, seen.rpartition(": ")[2]) == ("ok", "1 agents")


async def test_without_a_file_there_is_nothing_to_look_at(tmp_path: Path) -> None:
    assert await agents_file(ENVIRONMENT, tmp_path / "agents.toml") == []
