from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from local.install import reason, write_script

NO_VENV = """\
The virtual environment was not created successfully because ensurepip is not
available.  On Debian/Ubuntu systems, you need to install the python3-venv
package using the following command.

    apt install python3.11-venv
"""
WRONG_HASH = """\
ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE. If you have updated the package versions, ...
    anyio==4.16.0 from https://example.org/anyio-4.16.0-py3-none-any.whl:
        Expected sha256 00
             Got        ff
"""
NOT_WRITABLE = """\
ERROR: Could not install packages due to an OSError: [Errno 13] Permission denied: '.venv/bin/new'
Check the permissions.
"""
OFFLINE = """\
WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError: failed to establish a new connection'
ERROR: Could not find a version that satisfies the requirement anyio==4.16.0 (from versions: none)
ERROR: No matching distribution found for anyio==4.16.0
"""


@pytest.mark.parametrize(
    ("log", "line"),
    [
        (NO_VENV, "apt install python3-venv"),
        ("/usr/bin/python3: No module named venv", "apt install python3-venv"),
        ("ERROR: No matching distribution found for uvloop==0.23.0", "found for uvloop==0.23.0, as a ready-made wheel"),
        (OFFLINE, "the package index cannot be reached"),
        (WRONG_HASH, "THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE. If you have updated"),
        ("Error: [Errno 28] No space left on device", "No space left on device"),
        (
            "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device\n\n",
            "No space left",
        ),
        (NOT_WRITABLE, "Permission denied: '.venv/bin/new'"),
        ("something new\nERROR: the last line\n\n", "the last line"),
        ("", "no error was reported"),
    ],
)
def test_a_failure_has_one_reason(log: str, line: str) -> None:
    assert line in reason(log)
    assert "\n" not in reason(log)


def test_the_script_runs_the_command_line_of_its_folder_whatever_that_is_called(tmp_path: Path) -> None:
    folder = tmp_path / "it's $HOME"
    (folder / "cli").mkdir(parents=True)
    (folder / "cli" / "__main__.py").write_text("import sys; print(sys.argv[1:])")
    script = tmp_path / "runrelay"
    write_script(script, folder, Path(sys.executable))
    done = subprocess.run([script, "a b", "$c"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "['a b', '$c']\n"
