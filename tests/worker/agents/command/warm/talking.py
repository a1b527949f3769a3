"""A talk with a CLI, played back: what it has printed (tests/agents/record.py), or what a test makes it print."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from shared.run.errors import RunError
from tests.worker.agents.command.formats.recorded import FIXTURES
from worker.agents.command.formats.format import Object
from worker.agents.command.formats.format_parser import FormatParser
from worker.agents.command.warm.driver_registry import DRIVERS
from worker.agents.protocol import AgentConversation, AgentEvent, AgentOutput

FOLDER = Path("/work")


class Talked:
    """Turn by turn. `printed` is taken up to the end of each turn; what is left after the last one is in `left`."""

    def __init__(self, cli: str, *printed: Mapping[str, Any]) -> None:
        self._cli = cli
        self._driver = DRIVERS[cli].driver()
        self._printed: Iterator[Mapping[str, Any]] = iter(printed)
        self.written: list[Object] = list(self._driver.opening())
        self.skipped: dict[str, int] = {}

    @property
    def left(self) -> list[Mapping[str, Any]]:
        return list(self._printed)

    def turn(self, prompt: str = "Hi") -> list[AgentEvent]:
        turn = self._driver.turn(prompt, FOLDER)
        reading, said = FormatParser(self._cli, turn), list[AgentOutput]()
        self._write(turn.asking)
        while not turn.over:
            line = next(self._printed, None)
            assert line is not None, "the turn is not over"
            said += reading.feed(json.dumps(line).encode() + b"\n")
            self._write(turn.asking)
        said += reading.end()
        reading.ended(0)
        self.skipped = reading.skipped
        return [one for one in said if not isinstance(one, AgentConversation)]

    def failure(self) -> tuple[str, str]:
        with pytest.raises(RunError) as failed:
            self.turn()
        return failed.value.code, failed.value.message

    def is_unsolicited(self, printed: Mapping[str, Any]) -> bool:
        return self._driver.is_unsolicited(printed)

    def _write(self, asking: list[Object]) -> None:
        self.written += asking
        asking.clear()


def recorded(cli: str, case: str) -> Talked:
    lines = (FIXTURES / cli / f"warm-{case}.jsonl").read_text().splitlines()
    return Talked(cli, *map(json.loads, lines))
