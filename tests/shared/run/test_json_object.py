from __future__ import annotations

import pytest
from pydantic import JsonValue

from shared.run.json_object import LEVELS, too_deep
from shared.run.run import Run, Turn
from tests.runs import a_run


def nested(levels: int) -> JsonValue:
    value: JsonValue = 1
    for level in range(levels):
        value = [value] if level % 2 else {"x": value}
    return value


@pytest.mark.parametrize(("levels", "deep"), [(0, False), (LEVELS, False), (LEVELS + 1, True)])
def test_levels_are_counted(levels: int, deep: bool) -> None:
    assert too_deep(nested(levels)) is deep
    assert too_deep([1, nested(levels - 1)] if levels else "x") is deep


def test_a_run_that_carries_what_is_just_not_too_deep_can_be_read_again() -> None:
    value = nested(LEVELS)
    part = {"type": "file", "value": value}
    turn = Turn.model_validate({"role": "user", "content": "x", "parts": [part]})
    run = a_run(history=(turn,), params={"metadata": value})
    assert Run.model_validate_json(run.model_dump_json(by_alias=True)) == run
