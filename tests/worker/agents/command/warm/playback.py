"""Plays a conversation with a CLI back, from recorded output (tests/agents/record.py) or from a test's own lines."""

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


class Playback:
    """A conversation, turn by turn. Each turn takes `printed` up to its end; `left` has the lines after the last."""

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
        parser, outputs = FormatParser(self._cli, turn), list[AgentOutput]()
        self._write(turn.outgoing)
        while not turn.over:
            line = next(self._printed, None)
            assert line is not None, "the turn is not over"
            outputs += parser.feed(json.dumps(line).encode() + b"\n")
            self._write(turn.outgoing)
        outputs += parser.end()
        parser.ended(0)
        self.skipped = parser.skipped
        return [one for one in outputs if not isinstance(one, AgentConversation)]

    def failure(self) -> tuple[str, str]:
        with pytest.raises(RunError) as failed:
            self.turn()
        return failed.value.code, failed.value.message

    def is_unsolicited(self, printed: Mapping[str, Any]) -> bool:
        return self._driver.is_unsolicited(printed)

    def _write(self, outgoing: list[Object]) -> None:
        self.written += outgoing
        outgoing.clear()


def recorded(cli: str, case: str) -> Playback:
    lines = (FIXTURES / cli / f"warm-{case}.jsonl").read_text().splitlines()
    return Playback(cli, *map(json.loads, lines))
