from __future__ import annotations

import ast
from collections.abc import Callable

import pytest

from shared.observe.tracebacks import traceback_without_messages

PROMPT = "the-prompt of a client"


class Own(Exception):
    def __str__(self) -> str:
        return PROMPT


def chained() -> None:
    known: dict[str, str] = {}
    try:
        known[PROMPT]
    except KeyError as missing:
        raise ValueError(PROMPT) from missing


def noted() -> None:
    error = ValueError()
    error.add_note(PROMPT)
    raise error


def grouped() -> None:
    raise ExceptionGroup(PROMPT, [Own(), ExceptionGroup(PROMPT, [ValueError(PROMPT)])])


def circular() -> None:
    error = ValueError(PROMPT)
    error.__context__ = KeyError(PROMPT)
    error.__context__.__context__ = error
    raise error


RAISING: dict[str, Callable[[], object]] = {
    "KeyError": chained,
    "ValueError": noted,
    "ExceptionGroup": grouped,
    "SyntaxError": lambda: ast.literal_eval(PROMPT),
    "FileNotFoundError": lambda: open(PROMPT),  # noqa: PTH123, SIM115
    "UnicodeEncodeError": lambda: PROMPT.join("äö").encode("ascii"),
    f"{__name__}.Own": lambda: (_ for _ in ()).throw(Own()),
    "ZeroDivisionError": lambda: 1 / 0,
}


@pytest.mark.parametrize("name", RAISING)
def test_a_traceback_says_where_and_which_but_nothing_that_was_said(name: str) -> None:
    shown = _shown(RAISING[name])
    assert f"{name}: " in shown
    assert 'test_tracebacks.py", line ' in shown
    assert PROMPT not in shown


def test_the_system_may_speak() -> None:
    shown = _shown(RAISING["FileNotFoundError"])
    assert "FileNotFoundError: No such file or directory (LOG_CONTENT=1 shows what it says)" in shown


def test_all_of_a_chain_is_there_and_all_of_a_group() -> None:
    shown = _shown(chained)
    assert shown.index("KeyError") < shown.index("ValueError")
    assert _shown(grouped).count("ValueError: ") == 1


def test_a_chain_that_bites_its_tail_ends() -> None:
    assert _shown(circular).count("ValueError: ") == 1


def _shown(raising: Callable[[], object]) -> str:
    with pytest.raises(Exception) as raised:
        raising()
    return traceback_without_messages((type(raised.value), raised.value, raised.value.__traceback__))
