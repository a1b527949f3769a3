"""The seam between warm processes, which are alike for all CLIs, and the drivers, one file for each CLI.

A driver knows its CLI's protocol. It is pure: objects in, objects out. Each object is a line of JSON on the CLI's stdin
or stdout.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from shared.run.errors import RunError
from worker.agents.command.formats.format import Format, Object


class PromptRefused(RunError):
    """The CLI did not take the prompt, because it works by itself or is not ready otherwise. It has done nothing
    for the prompt, so another process may get it."""


class CliTurn(Format, Protocol):
    """One turn: the lines to send to the CLI, and the format of the lines that it prints."""

    outgoing: list[Object]  # the lines to send now; `WarmProcess` writes them and clears the list

    @property
    def over(self) -> bool:
        """Whether the answer is complete. Unless the turn is the `last`, the CLI waits for its next turn."""
        ...

    @property
    def last(self) -> bool:
        """Whether the CLI shall end after this turn, because only its exit shows that the answer is complete. May
        become true while the turn goes on."""
        ...

    @property
    def again(self) -> bool:
        """Whether the CLI may take another turn: the next answer can be told from everything else that it prints."""
        ...


class CliDriver(Protocol):
    """Drives one process, from its start to its end. One turn at a time."""

    def opening(self) -> Sequence[Object]:
        """The lines to send before the first turn."""
        ...

    def turn(self, prompt: str, folder: Path | None) -> CliTurn:
        """Begins a turn. A CLI that can change its directory works in `folder`, or with None where it started. Other
        CLIs always work where they started."""
        ...

    def is_unsolicited(self, printed: Object) -> bool:
        """Whether `printed`, which came between two turns, shows that the CLI works without a request."""
        ...


@dataclass(frozen=True)
class DriverSpec:
    """The driver of a CLI. `can_change_folder`: the CLI can change its working directory after its start."""

    driver: Callable[[], CliDriver]
    can_change_folder: bool = False
