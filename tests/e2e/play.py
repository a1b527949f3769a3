"""The script of a test's agent: steps, gates that the test opens, and a journal of runs.

The agent `scripted` (tests/e2e/agents.py) performs the steps. Steps, gates and journal are files in a folder that the
test and the workers share, so no test depends on how long a step takes. The message is only the path of these files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

Step = Mapping[str, object]


def say(text: str) -> Step:
    return {"delta": text}


def wait(gate: str) -> Step:
    """The agent is silent until the gate is open."""
    return {"wait": gate}


def wait_each(gate: str) -> Step:
    """The agent waits for the gate of its attempt: `gate` and the attempt's number, from 1."""
    return {"wait each": gate}


def block(gate: str) -> Step:
    """The agent blocks its event loop until the gate is open."""
    return {"block": gate}


def usage(prompt: int, completion: int) -> Step:
    data = {"promptTokens": prompt, "completionTokens": completion, "totalTokens": prompt + completion}
    return {"stream": "usage", "data": data}


def call(arguments: str) -> Step:
    """The agent begins a call of the client's tool `weather`."""
    return {"stream": "call", "data": {"index": 0, "id": "c1", "name": "weather", "arguments": arguments}}


def fail(message: str) -> Step:
    """The agent emits an error with this message."""
    return {"error": {"message": message}}


def crash(text: str) -> Step:
    """The agent raises an unexpected exception."""
    return {"raise": text}


NEW_MESSAGE: Step = {"message": True}
BREATHE: Step = {
    "breathe": True
}  # lets the emitter flush the text so far, so that it does not merge it with the next text


@dataclass(frozen=True)
class Entry:
    """A line of the journal: an attempt at a run started or ended (`event`), in the worker with this pid."""

    event: str
    run: str
    session: str
    pid: int


class Play:
    """The script of one test. Its journal has all runs of the script and no others."""

    def __init__(self, folder: Path, *steps: Step) -> None:
        self.message = str(folder / uuid4().hex)
        self._path = Path(self.message)
        self._path.with_suffix(".steps").write_text(json.dumps(steps))

    def open(self, gate: str) -> None:
        self.gate(gate).touch()

    def gate(self, name: str) -> Path:
        """The file whose existence opens the gate."""
        return self._path.with_suffix(f".{name}.gate")

    @property
    def journal(self) -> list[Entry]:
        """The entries so far, in order."""
        try:
            lines = self._path.with_suffix(".journal").read_text().splitlines()
        except FileNotFoundError:
            return []
        return [Entry(*json.loads(line)) for line in lines]

    def events(self, event: str) -> list[Entry]:
        return [entry for entry in self.journal if entry.event == event]

    @property
    def starts(self) -> list[Entry]:
        """Attempts that began, in order."""
        return self.events("start")
