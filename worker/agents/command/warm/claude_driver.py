"""Claude Code: `claude -p --input-format stream-json --output-format stream-json …`.

A turn is a line `user` with an id, and ends with a line `result`. The CLI repeats the id when it begins with the turn.
What it prints before that belongs to work that it has begun by itself, such as for a command in the background that has
ended. A release that repeats no id gets one turn in each process: its results cannot be matched.

A turn that begins work in the background is a process's last: the driver ends stdin, and the CLI exits when all of it
is done. Some commands (`/clear`, `/compact`) print no `result` while stdin stays open. When stdin ends, the CLI prints
one and exits. So a turn that begins with `/` is a process's last, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from uuid import uuid4

from shared.run.errors import RunError
from worker.agents.agent_errors import incomplete
from worker.agents.command.formats.claude import Claude
from worker.agents.command.formats.format import FormatEvent, Object

_OF_A_TURN = {"assistant", "user", "stream_event", "result"}


class ClaudeDriver:
    def __init__(self) -> None:
        self._fresh = True

    def opening(self) -> Sequence[Object]:
        return ()

    def turn(self, prompt: str, folder: Path | None) -> ClaudeTurn:
        first, self._fresh = self._fresh, False
        return ClaudeTurn(prompt, first=first)

    def is_unsolicited(self, printed: Object) -> bool:
        """The CLI works by itself when a command in the background has ended, or when a wake-up that it set is due."""
        return printed.get("type") in _OF_A_TURN


class ClaudeTurn:
    def __init__(self, prompt: str, *, first: bool) -> None:
        self._id = str(uuid4())
        self.outgoing: list[Object] = [
            {"type": "user", "uuid": self._id, "message": {"role": "user", "content": prompt}}
        ]
        self._is_command = prompt.lstrip().startswith("/")
        self._first = first  # nothing that the CLI prints can belong to anything else
        self._begun = False  # the CLI has repeated the id
        self._alone = True  # the CLI did nothing but this turn
        self._format = Claude()

    @property
    def over(self) -> bool:
        return self._format.over

    @property
    def busy(self) -> bool:
        return self._format.busy

    @property
    def last(self) -> bool:
        return self._is_command or self._format.worked_aside

    @property
    def again(self) -> bool:
        return self._begun and self._alone

    def read(self, printed: Object) -> Iterator[FormatEvent]:
        self._begun = self._begun or self._is_about(printed)
        if self._begun or self._first or printed.get("type") not in _OF_A_TURN:
            yield from self._format.read(printed)
        else:
            self._alone = False
        match printed:
            case {"type": "command_lifecycle", "command_uuid": self._id, "state": str(state)}:
                if state not in ("queued", "started") and not self._format.told_end and not self.last:
                    raise incomplete()

    def read_head(self, head: Object) -> Iterable[FormatEvent] | None:
        return self._format.read_head(head) if self._begun or self._first else []

    def _is_about(self, printed: Object) -> bool:
        """Whether the CLI has printed this for our prompt."""
        match printed:
            case {"type": "command_lifecycle", "command_uuid": self._id, "state": str(state)}:
                return state == "started"
            case {"type": "user", "isReplay": True, "uuid": self._id}:
                return True
            case {"user_message_uuid": self._id}:
                return True
            case _:
                return False

    def failure(self, code: int) -> RunError | None:
        return self._format.failure(code)
