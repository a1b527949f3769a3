"""Listens to the stdout of a command: bounds how long it may be silent, and how long it may stay after its end.

A command that has told the end of its answer gets a short patience to exit; then its answer counts without its exit. A
command's signs of life are what it prints, to stdout or to stderr.
"""

from __future__ import annotations

import math

import anyio

from worker.agents.command.child import Child
from worker.agents.protocol import AgentOutput
from worker.agents.silence import Silence


class Listener:
    """Pass every output to `note`. One listener for each answer."""

    def __init__(self, child: Child, *, silent_seconds: float | None, patience_seconds: float) -> None:
        self._child = child
        self._silence = Silence(silent_seconds)
        self._patience = patience_seconds

    def note(self, output: AgentOutput) -> None:
        self._silence.note(output)

    async def read(self, *, over: bool, busy: bool = False) -> bytes:
        """The next bytes of stdout. Empty at its end, and when the command has told its end (`over`) and stays.

        Raises RunError when the command is silent for too long, which it may be while it waits for its own work in the
        background (`busy`).
        """
        while True:
            heard = self._child.errors_heard
            bound = math.inf if busy else self._silence.bound
            chunk = await self._child.read(within=self._patience if over else bound)
            if chunk or over or self._child.at_end:
                return chunk
            if self._child.errors_heard == heard:
                raise self._silence.broken()

    async def exit_code(self, *, over: bool) -> int:
        """The exit code; 0 for a command that has told its end and stays. Raises RunError when the command has closed
        its stdout and neither exits nor tells anything."""
        with anyio.move_on_after(self._patience if over else self._silence.bound):
            return await self._child.exit_code()
        if over:
            return 0
        raise self._silence.broken()
