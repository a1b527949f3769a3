from __future__ import annotations

from pathlib import Path

import pytest

from shared.run.errors import SettingsError
from worker.agents.command.preflight import check_command, script_at

PATH = "/usr/bin:/bin"


@pytest.mark.parametrize(
    ("command", "script"),
    [
        ("python3 agent.py", "agent.py"),
        ("/usr/bin/python3.11 -u -X dev agent.py --port 1", "agent.py"),
        ("python3 agent", "agent"),
        ("node ./agent.mjs --input x.js", "./agent.mjs"),
        ("sh agent", "agent"),
        ("deno run --allow-net agent.ts", "agent.ts"),
        ("uv run agent.py", "agent.py"),
        ("env A=1 nice -n 5 python3 -u agent.py", "agent.py"),
        ("npx tsx agent.ts", "agent.ts"),
        ("python3 -m agent data.py", None),
        ("python3 -c print(1) x.py", None),
        ("uv run python -m agent", None),
        ("sh -c x.sh", None),
        ("claude -p --settings x.sh", None),
        ("cat agent.py", None),
        ("python3", None),
    ],
)
def test_the_script_of_a_command_line(command: str, script: str | None) -> None:
    words = command.split()
    place = script_at(words)
    assert (None if place is None else words[place]) == script


def test_a_script_that_is_not_there_is_told_before_any_run(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^command: sh should run 'nosuch.sh', which is no file in "):
        check_command(["sh", "nosuch.sh"], folder=tmp_path, path=PATH)
    (tmp_path / "nosuch.sh").touch()
    check_command(["sh", "nosuch.sh"], folder=tmp_path, path=PATH)
