"""Older releases of the CLIs: their recorded lines lie in a folder with their version, beside those of the newest."""

from __future__ import annotations

import pytest

from shared.run.events import Reasoning, ToolUse
from tests.worker.agents.asking import text
from tests.worker.agents.command.formats.recorded import CODES, FIXTURES, failure, said

OLDER = sorted(folder.name for folder in FIXTURES.iterdir() if "-" in folder.name)


@pytest.mark.parametrize("release", OLDER)
@pytest.mark.parametrize("case", ["hello", "note", "thinking", "limit"])
def test_their_answers_are_those_of_the_newest(release: str, case: str) -> None:
    older, newest = said(release, case), said(release.split("-")[0], case)
    assert text(older) == text(newest)
    for kind in (ToolUse, Reasoning):
        assert len([one for one in older if isinstance(one, kind)]) == len(
            [one for one in newest if isinstance(one, kind)]
        )


@pytest.mark.parametrize("release", OLDER)
@pytest.mark.parametrize("case", CODES)
def test_so_are_their_failures(release: str, case: str) -> None:
    assert failure(release, case) == failure(release.split("-")[0], case)
