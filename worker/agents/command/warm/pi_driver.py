"""pi: `pi --mode rpc`.

A turn is a command `prompt`. The CLI prints `agent_end` also when it will try again, or compact the conversation first.
So the driver requests the CLI's state after each `agent_end`, and the turn is over when the CLI is idle. Lines that the
CLI printed before it accepted the prompt belong to no turn of ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from shared.run.errors import RunError
from worker.agents.agent_errors import agent_error
from worker.agents.command.formats.format import FormatEvent, Object
from worker.agents.command.formats.pi import Pi
from worker.agents.command.warm.driver import PromptRefused

_DIALOGS = {"select", "confirm", "input", "editor"}  # of extensions, which wait for an answer


class PiDriver:
    def opening(self) -> Sequence[Object]:
        return ()

    def turn(self, prompt: str, folder: Path | None) -> PiTurn:
        return PiTurn(prompt)

    def is_unsolicited(self, printed: Object) -> bool:
        """The CLI works by itself when an extension has begun a turn."""
        return printed.get("type") in ("agent_start", "message_start", "tool_execution_start")


class PiTurn:
    last = False
    again = True  # the CLI refuses a prompt while it works by itself
    busy = False  # it tells of no work in the background

    def __init__(self, prompt: str) -> None:
        self.over = False
        self.outgoing: list[Object] = [{"type": "prompt", "message": prompt}]
        self._format = Pi()
        self._accepted = False
        self._working = False  # between `agent_start` and `agent_end`, or about to be again

    def read(self, printed: Object) -> Iterator[FormatEvent]:
        match printed:
            case {"type": "response"}:
                self._response(printed)
            case {"type": "extension_ui_request", "id": name, "method": method}:
                if method in _DIALOGS:  # no user is there to answer
                    self.outgoing.append({"type": "extension_ui_response", "id": name, "cancelled": True})
            case _ if self._accepted:
                yield from self._format.read(printed)
                self._follow(printed)

    def read_head(self, head: Object) -> Iterable[FormatEvent] | None:
        if not self._accepted:
            return []
        events = self._format.read_head(head)
        if events is not None:
            self._follow(head)
        return events

    def failure(self, code: int) -> RunError | None:
        return self._format.failure(code)

    def _response(self, response: Object) -> None:
        match response:
            case {"command": "prompt", "success": True}:
                self._accepted = True
                self._request_state()  # a command of an extension is done already
            case {"command": "get_state", "success": True, "data": dict(state)}:
                busy = state.get("isStreaming") or state.get("isCompacting") or state.get("pendingMessageCount")
                self.over = self._accepted and not busy and not self._working
            case {"success": False}:
                why = agent_error(str(response.get("error")))
                raise why if self._accepted else PromptRefused(why.code, why.message, why.detail)

    def _follow(self, printed: Object) -> None:
        match printed:
            case {"type": "agent_start" | "auto_retry_start"} | {"type": "compaction_end", "willRetry": True}:
                self._working = True
            case {"type": "agent_end" | "compaction_end"}:
                self._working = False
                self._request_state()
            case {"type": "auto_retry_end", "success": False}:
                self._working = False
                self._request_state()

    def _request_state(self) -> None:
        self.outgoing.append({"type": "get_state"})
