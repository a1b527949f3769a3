"""Which tests `make quick` leaves out: those that start processes, and the few that take seconds by their size.

Whole folders of them are named here; all others have the mark `slow`, or use a real server. None can be forgotten: in a
quick run a test that starts a process fails.
"""

from __future__ import annotations

from pathlib import Path

import pytest

# Whole services, or programs that take seconds.
SLOW_FOLDERS = ("agents", "bench", "chaos", "e2e", "local")

SERVERS = {"own_valkey", "shared_valkey"}  # fixtures

STARTS = {"subprocess.Popen", "os.posix_spawn", "os.fork", "os.forkpty", "os.exec"}  # events of Python's audit hooks

TESTS = Path(__file__).parent


def in_slow_folder(path: Path) -> bool:
    return path.is_relative_to(TESTS) and path.relative_to(TESTS).parts[:1] in {(name,) for name in SLOW_FOLDERS}


def is_slow(test: pytest.Function) -> bool:
    return in_slow_folder(test.path) or bool(test.get_closest_marker("slow")) or bool(SERVERS & {*test.fixturenames})


def refuse_processes(event: str, _: tuple[object, ...]) -> None:
    """An audit hook for the processes that run quick tests."""
    if event in STARTS:
        raise RuntimeError("a test of `make quick` starts a process: give it the mark `slow`")
