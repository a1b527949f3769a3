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

# What starts processes, by the names that tests and their helpers use. `executable` is that of `sys`; the last two are
# of the worker.
STARTERS = {"subprocess", "executable", "open_process", "run_process", "CommandAgent", "start_child"}

TESTS = Path(__file__).parent


def in_slow_folder(path: Path) -> bool:
    return path.is_relative_to(TESTS) and path.relative_to(TESTS).parts[:1] in {(name,) for name in SLOW_FOLDERS}


def is_slow(test: pytest.Function) -> bool:
    if in_slow_folder(test.path) or test.get_closest_marker("slow") or SERVERS & {*test.fixturenames}:
        return True
    fixtures = [one for found in test._fixtureinfo.name2fixturedefs.values() for one in found if one.scope != "session"]
    functions = [test.function, *(fixture.func for fixture in fixtures)]
    return any(_starts_processes(function) for function in functions)


@cache
def _starts_processes(function: Callable[..., object]) -> bool:
    """Whether it names a starter, or something of the tests that does, and so on."""
    seen: set[object] = set()
    todo: list[object] = [function]
    while todo:
        one = todo.pop()
        if id(one) in seen or not _is_of_the_tests(one):
            continue
        seen.add(id(one))
        for code, known in _codes(one):
            names = _names(code)
            if names & STARTERS or any(_tells_python(known.get(name)) for name in names):
                return True
            todo += [known[name] for name in names if name in known]
    return False


def _is_of_the_tests(one: object) -> bool:
    return (inspect.isroutine(one) or inspect.isclass(one)) and str(one.__module__).startswith("tests.")


def _codes(one: object) -> Iterator[tuple[CodeType, dict[str, object]]]:
    for function in list(vars(one).values()) if inspect.isclass(one) else [one]:
        plain = _plain(function)
        if inspect.isfunction(plain) and Path(plain.__code__.co_filename).is_relative_to(TESTS):
            yield plain.__code__, plain.__globals__


def _plain(function: object) -> object:
    """Without its decorators; Hypothesis has a way of its own to keep what it wraps."""
    if hypothesis := getattr(function, "hypothesis", None):
        return hypothesis.inner_test
    return inspect.unwrap(function) if callable(function) else getattr(function, "__func__", function)


def _names(code: CodeType) -> set[str]:
    """Of it and of the functions in it."""
    inner: Iterable[CodeType] = [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    return set(code.co_names).union(*(_names(one) for one in inner))


def _tells_python(value: object) -> bool:
    """A command of this Python, as it stands at the top of a test file."""
    return isinstance(value, list | tuple) and sys.executable in value
