"""Says which CLIs have a release that is newer than the one that was recorded. `-rs` shows what was skipped."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from tests.agents.clis import FOLDER, PATH

PACKAGES: dict[str, str] = json.loads((FOLDER / "package.json").read_text())["dependencies"]


@pytest.mark.parametrize("package", PACKAGES)
def test_the_recorded_release_is_the_newest(package: str) -> None:
    command = ["npm", "view", package, "version"]
    environment = {**os.environ, "PATH": f"{PATH}{os.pathsep}{os.environ['PATH']}"}
    look = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    newest = look.stdout.strip()
    if look.returncode or not newest:
        pytest.skip(f"npm does not tell the newest release of {package}")
    if newest != PACKAGES[package]:
        pytest.skip(f"{package} {newest} is out, and {PACKAGES[package]} is recorded: `make record-agents`")
