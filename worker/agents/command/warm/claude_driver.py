"""Claude Code: `claude -p --input-format stream-json --output-format stream-json …`.

A turn is a line `user`, and ends with a line `result`. Neither line has an id that relates it to the other. Some
commands (`/clear`, `/compact`) print no `result` while stdin stays open. When stdin ends, the CLI prints one and exits.
So a turn that begins with `/` is a process's last.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from shared.run.errors import RunError
from worker.agents.command.formats.claude import Claude
from worker.agents.command.formats.format import FormatEvent, Object

_OF_A_TURN = {"assistant", "user", "stream_event", "result"}


class ClaudeDriver:
    def opening(self) -> Sequence[Object]:
        return ()

    def turn(self, prompt: str, folder: Path | None) -> ClaudeTurn:
        return ClaudeTurn(prompt)

    def is_unsolicited(self, printed: Object) -> bool:
        """The CLI works by itself when a command in the background has ended, or when a wake-up that it set is due."""
        return printed.get("type") in _OF_A_TURN


class ClaudeTurn:
    def __init__(self, prompt: str) -> None:
        self.over = False
        self.last = prompt.lstrip().startswith("/")
        self.outgoing: list[Object] = [{"type": "user", "message": {"role": "user", "content": prompt}}]
        self._format = Claude()

    def read(self, printed: Object) -> Iterator[FormatEvent]:
        yield from self._format.read(printed)
        self.over = printed.get("type") == "result"

    def failure(self, code: int) -> RunError | None:
        return self._format.failure(code)
