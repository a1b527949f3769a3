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

    def __init__(self, cli: str, *printed: Mapping[str, Any], recorded: bool = False) -> None:
        self._cli = cli
        self._recorded = recorded
        self._driver = DRIVERS[cli].driver()
        self._printed: Iterator[Mapping[str, Any]] = iter(printed)
        self.written: list[Object] = list(self._driver.opening())
        self.skipped: dict[str, int] = {}
        self._replies: list[Object] = []  # that no test has to write
        self._ids: dict[str, str] = {}  # of the prompts, by those that the CLI was recorded with

    @property
    def left(self) -> list[Mapping[str, Any]]:
        return list(self._printed)

    def turn(self, prompt: str = "Hi") -> list[AgentEvent]:
        turn = self._driver.turn(prompt, FOLDER)
        parser, outputs = FormatParser(self._cli, turn), list[AgentOutput]()
        prompt_id = str(turn.outgoing[0].get("uuid", "")) if turn.outgoing else ""
        self._write(turn.outgoing)
        while not turn.over:
            line = self._replies.pop(0) if self._replies else next(self._printed, None)
            assert line is not None, "the turn is not over"
            outputs += parser.line(self._renamed(line, prompt_id))
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

    def _renamed(self, line: Mapping[str, Any], prompt_id: str) -> bytes:
        """The line with the id of our prompt in the place of the recorded one."""
        if line.get("type") == "command_lifecycle" and line["command_uuid"] not in self._ids:
            self._ids[line["command_uuid"]] = prompt_id
        text = json.dumps(line)
        for old, new in self._ids.items():
            text = text.replace(f'"{old}"', f'"{new}"')
        return text.encode()

    def _write(self, outgoing: list[Object]) -> None:
        self.written += outgoing
        if not self._recorded:
            started = [one["id"] for one in outgoing if one.get("method") == "turn/start"]
            self._replies += [{"id": name, "result": {"turn": {"id": "u"}}} for name in started]
        outgoing.clear()


def recorded(cli: str, case: str) -> Playback:
    lines = (FIXTURES / cli / f"warm-{case}.jsonl").read_text().splitlines()
    return Playback(cli, *map(json.loads, lines), recorded=True)
