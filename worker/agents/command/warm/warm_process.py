"""A CLI that has been started and waits: for its first turn, or for the next one of its session."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import AsyncExitStack, suppress
from pathlib import Path

from shared.run.errors import RunError
from shared.run.events import Delta
from shared.run.flat_text import FlatText
from worker.agents.command.child import Child
from worker.agents.command.formats.format import Object
from worker.agents.command.formats.format_parser import MAX_LINE, FormatParser, object_of
from worker.agents.command.prompt_text import render
from worker.agents.command.stdout_parsers import LineSplitter
from worker.agents.command.warm.driver import CliDriver
from worker.agents.command.warm.process_transcript import ProcessTranscript
from worker.agents.command.warm.ready_folder import ReadyFolder
from worker.agents.protocol import AgentConversation, AgentEvent, AgentInput


class WarmProcess:
    """One reader at a time: either `turn` or `idle`."""

    def __init__(
        self,
        child: Child,
        driver: CliDriver,
        name: str,
        running: AsyncExitStack,
        holds: AsyncExitStack,
        *,
        folder: Path | None,
        fresh: ReadyFolder | None,
        check: Callable[[int], None],
    ) -> None:
        """`name` is the format's. `running` ends the child, and `holds` lets go of what it needs until then.

        `folder` is where its session works; None: where all do, or not known yet. `fresh` is where it was started then.
        `check` raises RunError for an exit code that says more than the format knows.
        """
        self.child = child
        self.folder = folder
        self.fresh = fresh
        self.holds = holds
        self.turns = 0
        self.transcript: ProcessTranscript | None = None  # None: nothing yet
        self.usable = True  # it waits for a turn
        self._driver = driver
        self._name = name
        self._running = running
        self._check = check
        self._cutter = LineSplitter(max_line=MAX_LINE)
        self._lines: deque[bytes] = deque()
        self._write(driver.opening())

    async def turn(self, input: AgentInput) -> AsyncGenerator[AgentEvent, None]:
        """Asks, and says what is answered. Afterwards the process is usable if it can take another turn.

        The first time it is told the whole conversation, later the message only. Raises RunError as any command does.
        """
        self.usable = False
        told = self.transcript or ProcessTranscript.before(input)
        turn = self._driver.turn(input.message if self.transcript else render(input), self.folder)
        reading, flat, answer = FormatParser(self._name, turn), FlatText(), list[str]()
        self._write_all(turn.asking)
        if turn.last:
            self.child.end_input()
        while not turn.over and (line := await self._line()):
            for heard in reading.feed(line):
                if isinstance(heard, Delta):
                    answer.append(flat.add(heard))
                if not isinstance(heard, AgentConversation):  # it ends with the process
                    yield heard
            self._write_all(turn.asking)
        list(reading.end())  # tells what was skipped; there is no unfinished line
        code = 0 if turn.over else await self.child.exit_code()
        self._check(code)
        reading.ended(code)
        self.turns += 1
        self.transcript = told.and_then(input, "".join(answer))
        self.usable = turn.over and not turn.last

    async def idle(self) -> None:
        """Returns when the process has ended, or does something that nobody has asked for: it is not usable then."""
        with suppress(RunError):  # a line without end
            while line := await self._line():
                printed = object_of(line)
                if printed is not None and self._driver.is_unsolicited(printed):
                    break
        self.usable = False

    async def close(self) -> None:
        """Ends the process and whatever it started."""
        self.usable = False
        async with self.holds:
            await self._running.aclose()

    async def _line(self) -> bytes:
        """The next line with its end; an unfinished last one is left out. None left: empty."""
        while not self._lines:
            chunk = await self.child.read()
            if not chunk:
                return b""
            self._lines.extend(self._cutter.feed(chunk))
        return self._lines.popleft() + b"\n"

    def _write_all(self, asking: list[Object]) -> None:
        self._write(asking)
        asking.clear()

    def _write(self, objects: Iterable[Object]) -> None:
        for one in objects:
            self.child.write(json.dumps(one).encode() + b"\n")
