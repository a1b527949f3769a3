"""Turns a command's stdout into the agent's output: bytes in, events out. No I/O happens here."""

from __future__ import annotations

import codecs
import signal
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from shared.run.errors import ErrorCode, RunError
from shared.run.events import Delta
from worker.agents.protocol import AgentConversation, AgentOutput

MAX_LINE = 1_048_576  # bytes, without the line's end
LONG_HEAD = 65_536  # bytes that are kept of a longer line

Parser = Callable[[bytes], Iterable[AgentOutput]]


class OutputParser(Protocol):
    """Parses the stdout of one run. The caller iterates each result before the next call."""

    @property
    def over(self) -> bool:
        """Whether the command has told the end of its answer, although it has not ended yet."""
        ...

    @property
    def busy(self) -> bool:
        """Whether the command waits for work that it has begun in the background, and may be silent meanwhile."""
        ...

    @property
    def conversation(self) -> AgentConversation | None:
        """The command's own conversation, as far as the command has named it."""
        ...

    def feed(self, chunk: bytes) -> Iterable[AgentOutput]:
        """Takes the next bytes. Raises RunError when they break the format."""
        ...

    def end(self) -> Iterable[AgentOutput]:
        """Takes the end of stdout. Raises RunError when it breaks the format."""
        ...

    def ended(self, code: int) -> None:
        """Takes the exit code, which is negative for a signal. Raises RunError when there is no whole answer."""
        ...


class TextParser:
    """All of stdout is the answer. Bytes that are not UTF-8 become U+FFFD, wherever the chunks were cut."""

    over = False  # only the end of stdout ends an answer
    busy = False
    conversation = None

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, chunk: bytes) -> Iterator[AgentOutput]:
        return self._deltas(self._decoder.decode(chunk))

    def end(self) -> Iterator[AgentOutput]:
        return self._deltas(self._decoder.decode(b"", final=True))

    def ended(self, code: int) -> None:
        check_exit(code)

    def _deltas(self, text: str) -> Iterator[AgentOutput]:
        if text:
            yield Delta(delta=text)


@dataclass(frozen=True)
class LongLine:
    """The beginning of a line that is longer than it may be."""

    head: bytes


class LineSplitter:
    """Cuts bytes into lines, without their ends. Keeps only the beginning of a line of more than `max_line` bytes."""

    def __init__(self, *, max_line: int = MAX_LINE) -> None:
        self._max_line = max_line
        self._rest = bytearray()
        self._long = False  # the current line is too long

    def feed(self, chunk: bytes) -> Iterator[bytes | LongLine]:
        head, *tails = chunk.split(b"\n")
        self._rest += head
        for tail in tails:
            yield from self._ended()
            self._rest += tail
        yield from self._too_long()

    def end(self) -> Iterator[bytes | LongLine]:
        """An unfinished last line, if there is one."""
        return self._ended()

    def _ended(self) -> Iterator[bytes | LongLine]:
        yield from self._too_long()
        if not self._long:
            yield bytes(self._rest)
        self._rest, self._long = bytearray(), False

    def _too_long(self) -> Iterator[LongLine]:
        """The current line as soon as it is too long, and not its rest."""
        if self._long:
            self._rest.clear()
        elif len(self._rest) > self._max_line:
            self._long = True
            yield LongLine(bytes(self._rest[:LONG_HEAD]))
            self._rest.clear()


class LinesParser:
    """Parses each line of stdout by itself, also an unfinished last one. Skips blank lines.

    Without `parse_long` a line that is too long raises RunError."""

    over = False  # only the end of stdout ends an answer
    busy = False
    conversation = None

    def __init__(
        self,
        parse: Parser,
        parse_long: Callable[[LongLine], Iterable[AgentOutput]] | None = None,
        *,
        max_line: int = MAX_LINE,
    ) -> None:
        self._parse = parse
        self._parse_long = parse_long
        self._max_line = max_line
        self._splitter = LineSplitter(max_line=max_line)

    def feed(self, chunk: bytes) -> Iterator[AgentOutput]:
        for line in self._splitter.feed(chunk):
            yield from self._parsed(line)

    def end(self) -> Iterator[AgentOutput]:
        for line in self._splitter.end():
            yield from self._parsed(line)

    def ended(self, code: int) -> None:
        check_exit(code)

    def _parsed(self, line: bytes | LongLine) -> Iterator[AgentOutput]:
        if isinstance(line, LongLine):
            if self._parse_long is None:
                text = f"The agent printed a line of more than {self._max_line} bytes."
                raise RunError(ErrorCode.OUTPUT_TOO_LARGE, text)
            yield from self._parse_long(line)
        elif line.strip():
            yield from self._parse(line)


def check_exit(code: int) -> None:
    """Raises RunError when the exit code is not 0."""
    if code > 0:
        raise RunError(ErrorCode.AGENT_FAILED, f"The agent exited with code {code}.")
    if code < 0:
        raise RunError(ErrorCode.AGENT_FAILED, f"The agent was killed by {_signal_name(-code)}.")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"
