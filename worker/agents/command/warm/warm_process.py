"""A started CLI that waits for its first turn, or for the next turn of its session."""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import AsyncExitStack
from pathlib import Path

from shared.run.flat_text import WholeText
from worker.agents.command.child import Child
from worker.agents.command.formats.format import Object
from worker.agents.command.formats.format_parser import MAX_LINE, FormatParser, objects_in
from worker.agents.command.listening import Listener
from worker.agents.command.prompt_text import render
from worker.agents.command.stdout_parsers import LineSplitter, LongLine
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
        listener: Callable[[Child], Listener],
    ) -> None:
        """`name` is the format's. `running` ends the child, and `holds` releases its directory after that.

        `folder` is the directory of the session. It is None when all sessions share one, or when the session is not
        known yet; in the latter case the process was started in `fresh`. `check` raises RunError for an exit code that
        shows more than the format knows. `listener` makes the listener of a turn.
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
        self._listener = listener
        self._splitter = LineSplitter(max_line=MAX_LINE)
        self._lines: deque[bytes | LongLine] = deque()
        self._write(driver.opening())

    async def turn(self, input: AgentInput) -> AsyncGenerator[AgentEvent, None]:
        """Sends a prompt and yields the events of the answer. Afterwards the process is usable if it can take another
        turn.

        The first prompt holds the whole conversation, a later one only the message. Raises RunError as any command
        does.
        """
        self.usable = False
        before = self.transcript or ProcessTranscript.before(input)
        turn = self._driver.turn(input.message if self.transcript else render(input), self.folder)
        parser, answer = FormatParser(self._name, turn), WholeText()
        self._send(turn.outgoing)
        listener, ending = self._listener(self.child), False
        while True:
            if turn.last and not ending:
                ending = True
                self.child.end_input()
            if turn.over and not turn.last:
                break
            line = await self._line(listener, over=turn.over, busy=turn.busy)
            if line is None:
                break
            for output in parser.line(line):
                listener.note(output)
                answer.feed(output)
                if not isinstance(output, AgentConversation):  # the CLI's conversation ends with the process
                    yield output
            self._send(turn.outgoing)
        list(parser.end())  # logs the skipped lines; there is no unfinished line
        code = 0 if turn.over and not turn.last else await listener.exit_code(over=turn.over)
        self._check(code)
        parser.ended(code)
        self.turns += 1
        self.transcript = before.and_then(input, str(answer))
        self.usable = turn.over and turn.again and not turn.last

    async def idle(self) -> None:
        """Returns when the process has ended or works without a request. It is not usable then."""
        silent = Listener(self.child, silent_seconds=None, patience_seconds=math.inf)
        while (line := await self._line(silent, over=False)) is not None:
            if isinstance(line, LongLine) or any(map(self._driver.is_unsolicited, objects_in(line).objects)):
                break
        self.usable = False

    async def close(self) -> None:
        """Ends the process and all processes that it started."""
        self.usable = False
        async with self.holds:
            await self._running.aclose()

    async def _line(self, listener: Listener, *, over: bool, busy: bool = False) -> bytes | LongLine | None:
        """The next line; None when stdout has ended, or when the CLI has told its end and stays. Leaves out an
        unfinished last line."""
        while not self._lines:
            chunk = await listener.read(over=over, busy=busy)
            if not chunk:
                return None
            self._lines.extend(self._splitter.feed(chunk))
        return self._lines.popleft()

    def _send(self, outgoing: list[Object]) -> None:
        self._write(outgoing)
        outgoing.clear()

    def _write(self, objects: Iterable[Object]) -> None:
        for one in objects:
            self.child.write(json.dumps(one).encode() + b"\n")
