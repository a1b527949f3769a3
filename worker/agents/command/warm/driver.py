"""The seam between warm processes, which are alike for all CLIs, and how each CLI is talked to, one file for each.

It is pure: objects in, objects out. Each is a line of JSON on the CLI's stdin and stdout.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from worker.agents.command.formats.format import Format, Object


class CliTurn(Format, Protocol):
    """One turn: what the CLI is asked, and the format of what it answers."""

    asking: list[Object]  # what is to be written now; whoever writes it takes it out

    @property
    def over(self) -> bool:
        """Whether the whole answer was told. The CLI waits for its next turn."""
        ...

    @property
    def last(self) -> bool:
        """Whether the CLI shall end after it."""
        ...


class CliDriver(Protocol):
    """With one process, from its start to its end. One turn at a time."""

    def opening(self) -> Sequence[Object]:
        """What is written before there is any turn."""
        ...

    def turn(self, prompt: str, folder: Path | None) -> CliTurn:
        """`folder` is where a CLI that moves shall work; None: where it was started. The others were started there."""
        ...

    def is_unsolicited(self, printed: Object) -> bool:
        """Whether `printed`, which came between two turns, belongs to something that the CLI does of its own accord."""
        ...


@dataclass(frozen=True)
class DriverSpec:
    """How a CLI is talked to. `moves`: it can be told where to work after it was started."""

    driver: Callable[[], CliDriver]
    can_change_folder: bool = False
