from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from local.install import reason, write_script

OFFLINE = """\
WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError: failed to establish a new connection'
ERROR: Could not find a version that satisfies the requirement anyio==4.16.0 (from versions: none)
ERROR: No matching distribution found for anyio==4.16.0
"""


@pytest.mark.parametrize(
    ("log", "said"),
    [
        ("The virtual environment was not created because ensurepip is not available.", "apt install python3-venv"),
        ("ERROR: No matching distribution found for uvloop==0.23.0", "uvloop==0.23.0 has no ready-made wheel"),
        (OFFLINE, "the package index cannot be reached"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", "is not the one that was locked"),
        ("OSError: [Errno 28] No space left on device", "the disk is full"),
        ("something new\nERROR: the last line\n\n", "ERROR: the last line"),
        ("", "said nothing"),
    ],
)
def test_a_failure_has_one_reason(log: str, said: str) -> None:
    assert said in reason(log)
    assert "\n" not in reason(log)


def test_the_script_runs_the_command_line_of_its_folder_whatever_that_is_called(tmp_path: Path) -> None:
    folder = tmp_path / "it's $HOME"
    (folder / "cli").mkdir(parents=True)
    (folder / "cli" / "__main__.py").write_text("import sys; print(sys.argv[1:])")
    script = tmp_path / "runrelay"
    write_script(script, folder, Path(sys.executable))
    done = subprocess.run([script, "a b", "$c"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "['a b', '$c']\n"
