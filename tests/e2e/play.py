"""What a test has its agent do: steps, gates that the test opens, and a journal of runs.

The agent `scripted` (tests/e2e/agents.py) performs the steps. They, the gates and the journal are files in a folder
that test and workers share, so nothing depends on how long anything takes. The message only says where.
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
    """The agent says nothing more until the gate is open."""
    return {"wait": gate}


def wait_each(gate: str) -> Step:
    """Each attempt has a gate of its own: `gate` and its number, from 1."""
    return {"wait each": gate}


def block(gate: str) -> Step:
    """The agent blocks its event loop until the gate is open."""
    return {"block": gate}


def usage(prompt: int, completion: int) -> Step:
    data = {"promptTokens": prompt, "completionTokens": completion, "totalTokens": prompt + completion}
    return {"stream": "usage", "data": data}


def call(arguments: str) -> Step:
    """Begins a call of the client's tool `weather`."""
    return {"stream": "call", "data": {"index": 0, "id": "c1", "name": "weather", "arguments": arguments}}


def fail(message: str) -> Step:
    """The agent says that it failed."""
    return {"error": {"message": message}}


def crash(text: str) -> Step:
    """The agent raises an exception that nobody expects."""
    return {"raise": text}


NEW_MESSAGE: Step = {"message": True}
BREATHE: Step = {"breathe": True}  # lets go what was said so far, so that it is not merged with what follows


@dataclass(frozen=True)
class Entry:
    """A line of the journal: an attempt at a run began or ended, in the worker with this pid."""

    act: str
    run: str
    session: str
    pid: int


class Play:
    """One test's script. All runs of it and none but those are in its journal."""

    def __init__(self, folder: Path, *steps: Step) -> None:
        self.message = str(folder / uuid4().hex)
        self._path = Path(self.message)
        self._path.with_suffix(".steps").write_text(json.dumps(steps))

    def open(self, gate: str) -> None:
        self.gate(gate).touch()

    def gate(self, name: str) -> Path:
        """The file whose existence opens it."""
        return self._path.with_suffix(f".{name}.gate")

    @property
    def journal(self) -> list[Entry]:
        """What has happened so far, in order."""
        try:
            lines = self._path.with_suffix(".journal").read_text().splitlines()
        except FileNotFoundError:
            return []
        return [Entry(*json.loads(line)) for line in lines]

    def acts(self, act: str) -> list[Entry]:
        return [entry for entry in self.journal if entry.act == act]

    @property
    def starts(self) -> list[Entry]:
        """Attempts that began, in order."""
        return self.acts("start")
