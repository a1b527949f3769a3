from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

# Process 1 of a namespace. It inherits ten processes, which end, and has a child of its own that it waits for later.
FIRST = """
import os, subprocess, sys, time, psutil, anyio
from shared.observe.supervision import Beat
from worker.agents.command import zombies

zombies.LOOK_SECONDS = 0.05
inherit = "import subprocess; [subprocess.Popen(['sleep', '0.1']) for _ in range(10)]"

async def main():
    async with anyio.create_task_group() as group:
        group.start_soon(zombies.reap_forever, Beat())
        subprocess.run([sys.executable, "-c", inherit], check=True)
        while psutil.Process().children():
            await anyio.sleep(0.05)
        group.cancel_scope.cancel()

assert zombies.inherits()
anyio.run(main)
print("none left", flush=True)
"""


def may_unshare() -> bool:
    return subprocess.run(["unshare", "--pid", "--fork", "true"], capture_output=True).returncode == 0


@pytest.mark.skipif(sys.platform != "linux" or not may_unshare(), reason="needs a process namespace of its own")
def test_a_worker_that_is_process_1_reaps_what_it_inherits() -> None:
    command = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", sys.executable, "-c", FIRST]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env={**os.environ, "PYTHONPATH": "."})
    assert done.stdout == "none left\n", done.stderr
