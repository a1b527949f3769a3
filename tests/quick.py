"""Which tests `make quick` leaves out: those that start processes, and the few that take seconds.

The code of a test shows whether it starts one, so that no test has to be marked for that. The mark `slow` is for tests
whose size takes the time: ten thousand runs, a model of the whole ledger.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from types import CodeType

import pytest

# Whole services, or programs that take seconds.
SLOW_FOLDERS = ("agents", "bench", "chaos", "e2e", "local")

SERVERS = {"own_valkey", "shared_valkey"}  # fixtures

# Names in tests and their modules that start processes. `executable` is `sys.executable`; the last two are of the
# worker.
STARTERS = {"subprocess", "executable", "open_process", "run_process", "CommandAgent", "start_child"}

TESTS = Path(__file__).parent


def in_slow_folder(path: Path) -> bool:
    return path.is_relative_to(TESTS) and path.relative_to(TESTS).parts[:1] in {(name,) for name in SLOW_FOLDERS}


def is_slow(test: pytest.Function) -> bool:
    if in_slow_folder(test.path) or test.get_closest_marker("slow") or SERVERS & {*test.fixturenames}:
        return True
    found = [fixture for named in test._fixtureinfo.name2fixturedefs.values() for fixture in named]
    fixtures = [fixture for fixture in found if fixture.scope != "session"]
    functions = [test.function, *(fixture.func for fixture in fixtures)]
    return any(_starts_processes(function) for function in functions)


@cache
def _starts_processes(function: Callable[..., object]) -> bool:
    """Whether the function names a starter, itself or through functions and classes of the tests that it names."""
    seen: set[object] = set()
    todo: list[object] = [function]
    while todo:
        item = todo.pop()
        if id(item) in seen or not _is_of_the_tests(item):
            continue
        seen.add(id(item))
        for code, known in _codes(item):
            names = _names(code)
            if names & STARTERS or any(_is_python_command(known.get(name)) for name in names):
                return True
            todo += [known[name] for name in names if name in known]
    return False


def _is_of_the_tests(item: object) -> bool:
    return (inspect.isroutine(item) or inspect.isclass(item)) and str(item.__module__).startswith("tests.")


def _codes(item: object) -> Iterator[tuple[CodeType, dict[str, object]]]:
    for function in list(vars(item).values()) if inspect.isclass(item) else [item]:
        plain = _plain(function)
        if inspect.isfunction(plain) and Path(plain.__code__.co_filename).is_relative_to(TESTS):
            yield plain.__code__, plain.__globals__


def _plain(function: object) -> object:
    """The function without its decorators. Hypothesis keeps the function that it wraps in an attribute of its own."""
    if hypothesis := getattr(function, "hypothesis", None):
        return hypothesis.inner_test
    return inspect.unwrap(function) if callable(function) else getattr(function, "__func__", function)


def _names(code: CodeType) -> set[str]:
    """The names in the code and in its inner functions."""
    inner: Iterable[CodeType] = [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    return set(code.co_names).union(*map(_names, inner))


def _is_python_command(value: object) -> bool:
    """Whether a constant of a test file is a command that starts this Python."""
    return isinstance(value, list | tuple) and sys.executable in value
