"""Listens to the stdout of a command: bounds how long it may be silent, and how long it may stay after its end.

A command that has told the end of its answer gets a short patience to exit; then its answer counts without its exit. A
command that gives no sign of life for `silent_seconds`, neither on stdout nor on stderr, fails its run. While one of
its tools runs the command may be silent for any time.
"""

from __future__ import annotations

import math

import anyio

from shared.run.errors import ErrorCode, RunError
from shared.run.events import ToolUse
from worker.agents.command.child import Child
from worker.agents.protocol import AgentOutput


class Listener:
    """Pass every output to `note`. One listener for each answer."""

    def __init__(self, child: Child, *, silent_seconds: float | None, patience_seconds: float) -> None:
        self._child = child
        self._silent = silent_seconds or math.inf
        self._patience = patience_seconds
        self._tools: set[str] = set()  # that run now, by the ids of their calls

    def note(self, output: AgentOutput) -> None:
        match output:
            case ToolUse(phase="start", name=name, tool_call_id=call):
                self._tools.add(call or name)
            case ToolUse(phase="result", name=name, tool_call_id=call):
                self._tools.discard(call or name)

    async def read(self, *, over: bool) -> bytes:
        """The next bytes of stdout. Empty at its end, and when the command has told its end (`over`) and stays.

        Raises RunError when the command is silent for too long.
        """
        while True:
            heard = self._child.errors_heard
            chunk = await self._child.read(within=self._patience if over else self._bound())
            if chunk or over or self._child.at_end:
                return chunk
            if self._child.errors_heard == heard:
                raise _silent(self._silent)

    async def exit_code(self, *, over: bool) -> int:
        """The exit code; 0 for a command that has told its end and stays. Raises RunError when the command has closed
        its stdout and neither exits nor tells anything."""
        with anyio.move_on_after(self._patience if over else self._bound()):
            return await self._child.exit_code()
        if over:
            return 0
        raise _silent(self._silent)

    def _bound(self) -> float:
        return math.inf if self._tools else self._silent


def _silent(seconds: float) -> RunError:
    return RunError(ErrorCode.AGENT_SILENT, f"The agent gave no sign of life for {seconds:g} seconds.")
