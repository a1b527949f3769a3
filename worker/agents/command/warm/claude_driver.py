"""Claude Code: `claude -p --input-format stream-json --output-format stream-json …`.

A turn is a line `user`, and ends with a line `result`. There is nothing in either that says which belongs to which.
Some commands (`/clear`, `/compact`) are done without a `result`, unless nothing follows: then the CLI says that it is
done and ends. So a turn that begins with `/` is a process's last.
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
        """Such as what it does when a command in the background has ended, or a wake-up it has asked for is due."""
        return printed.get("type") in _OF_A_TURN


class ClaudeTurn:
    def __init__(self, prompt: str) -> None:
        self.over = False
        self.last = prompt.lstrip().startswith("/")
        self.asking: list[Object] = [{"type": "user", "message": {"role": "user", "content": prompt}}]
        self._format = Claude()

    def read(self, printed: Object) -> Iterator[FormatEvent]:
        yield from self._format.read(printed)
        self.over = printed.get("type") == "result"

    def failure(self, code: int) -> RunError | None:
        return self._format.failure(code)
