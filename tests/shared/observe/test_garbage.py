from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import gc, weakref
from shared.observe.garbage import freeze_startup_objects

class Cycle:
    def __init__(self):
        self.itself = self

before = Cycle()
freeze_startup_objects()
print(gc.get_objects().count(before), end=" ")
first = weakref.ref(Cycle())
print(first() is not None, end=" ")
more = [[] for _ in range(20_000)]
print(first() is None)
"""


@pytest.mark.slow
def test_what_is_there_is_spared_and_what_comes_is_found_in_time() -> None:
    """The program runs in a process of its own, because a process has one collector."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "True", "True"]
