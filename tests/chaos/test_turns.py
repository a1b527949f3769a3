"""A short campaign of the CLI that misbehaves; `make turns` plays long ones."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from chaos.turns.campaign import KINDS, agents_toml, play
from tests.e2e.service import started

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


def test_no_client_gets_another_answer_or_half_of_one(tmp_path: Path) -> None:
    agents = tmp_path / "agents.toml"
    agents.write_text(agents_toml())
    with started(tmp_path, settings={"AGENTS_FILE": str(agents), "WORKER_CONCURRENCY": "4"}) as service:
        tally = anyio.run(lambda: play(service.url, turns=150, sessions=4, seed=1))
    assert tally.turns >= 150
    assert len(tally.kinds) > len(KINDS) / 2
    assert tally.examples == []
