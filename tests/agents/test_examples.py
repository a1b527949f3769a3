"""The example of a CLI, with the real one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.agents.clis import CLIS
from tests.test_examples import Example

pytestmark = pytest.mark.timeout(300)


def test_the_cli_answers(tmp_path: Path, model: str) -> None:
    environment = CLIS["claude"].settled(tmp_path / "home", model)
    assert Example.of("cli").asked(tmp_path, **environment).endswith("The note is written.")
