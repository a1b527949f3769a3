"""pi: `pi --mode rpc`.

A turn is a command `prompt`. The CLI says `agent_end` also when it will try again, or compact the conversation first.
So after each one it is asked for its state, and the turn is over when it is idle. Whatever was printed before the
prompt was accepted belongs to no turn of ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from shared.run.errors import RunError
from worker.agents.command.formats.format import FormatEvent, Object
from worker.agents.command.formats.format_errors import agent_error
from worker.agents.command.formats.pi import Pi

_DIALOGS = {"select", "confirm", "input", "editor"}  # of extensions, which wait for an answer


class PiDriver:
    def opening(self) -> Sequence[Object]:
        return ()

    def turn(self, prompt: str, folder: Path | None) -> PiTurn:
        return PiTurn(prompt)

    def is_unsolicited(self, printed: Object) -> bool:
        """Such as the turn that an extension has begun."""
        return printed.get("type") in ("agent_start", "message_start", "tool_execution_start")


class PiTurn:
    last = False

    def __init__(self, prompt: str) -> None:
        self.over = False
        self.asking: list[Object] = [{"type": "prompt", "message": prompt}]
        self._format = Pi()
        self._accepted = False
        self._working = False  # between `agent_start` and `agent_end`, or about to be again

    def read(self, printed: Object) -> Iterator[FormatEvent]:
        match printed:
            case {"type": "response"}:
                self._answer(printed)
            case {"type": "extension_ui_request", "id": name, "method": method}:
                if method in _DIALOGS:  # nobody is there to be asked
                    self.asking.append({"type": "extension_ui_response", "id": name, "cancelled": True})
            case _ if self._accepted:
                yield from self._format.read(printed)
                self._follow(printed)

    def failure(self, code: int) -> RunError | None:
        return self._format.failure(code)

    def _answer(self, response: Object) -> None:
        match response:
            case {"command": "prompt", "success": True}:
                self._accepted = True
                self._ask_for_state()  # a command of an extension is done already
            case {"command": "get_state", "success": True, "data": dict(state)}:
                busy = state.get("isStreaming") or state.get("isCompacting") or state.get("pendingMessageCount")
                self.over = self._accepted and not busy and not self._working
            case {"success": False}:
                raise agent_error(str(response.get("error")))

    def _follow(self, printed: Object) -> None:
        match printed:
            case {"type": "agent_start" | "auto_retry_start"} | {"type": "compaction_end", "willRetry": True}:
                self._working = True
            case {"type": "agent_end" | "compaction_end"}:
                self._working = False
                self._ask_for_state()
            case {"type": "auto_retry_end", "success": False}:
                self._working = False
                self._ask_for_state()

    def _ask_for_state(self) -> None:
        self.asking.append({"type": "get_state"})
