"""The journal of agents: each agent notes its start and its end of a run in a file, without the service."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "CHAOS_JOURNAL"  # names the file, in the environment of workers and of their commands


@dataclass(frozen=True)
class Note:
    """An agent started or ended. `at` is ms since the epoch, by the clock that all processes of this machine share.
    `pid` is the worker's, or the command's own.
    """

    event: str  # start, end
    run_id: str
    pid: int
    at: int

    @property
    def line(self) -> str:
        return f"{self.event} {self.run_id} {self.pid} {self.at}\n"


class Journal:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.path.touch()

    def add(self, event: str, run_id: str) -> None:
        """Appends in one write, so that lines of several processes do not mix and a killed one leaves no half line."""
        note = Note(event, run_id, os.getpid(), time.time_ns() // 1_000_000)
        with self.path.open("ab", buffering=0) as file:
            file.write(note.line.encode())

    def notes(self) -> list[Note]:
        return [_note(line) for line in self.path.read_text().splitlines()]


def _note(line: str) -> Note:
    event, run_id, pid, at = line.split()
    return Note(event, run_id, int(pid), int(at))
