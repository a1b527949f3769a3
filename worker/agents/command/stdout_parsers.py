"""Turns a command's stdout into the agent's output: bytes in, events out. No I/O happens here."""

from __future__ import annotations

import codecs
import signal
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from shared.run.errors import ErrorCode, RunError
from shared.run.events import Delta
from worker.agents.protocol import AgentOutput

MAX_LINE = 1_048_576  # bytes, without the line's end

Parser = Callable[[bytes], Iterable[AgentOutput]]


class OutputParser(Protocol):
    """Parses the stdout of one run. The caller iterates each result before the next call."""

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


class LineSplitter:
    """Cuts bytes into lines, without their ends. Raises RunError for a line of more than `max_line` bytes."""

    def __init__(self, *, max_line: int = MAX_LINE) -> None:
        self._max_line = max_line
        self._rest = bytearray()

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        head, *tails = chunk.split(b"\n")
        self._rest += head
        for tail in tails:
            line, self._rest = self._rest, bytearray(tail)
            self._check(line)
            yield bytes(line)
        self._check(self._rest)

    def end(self) -> bytes:
        """An unfinished last line."""
        return bytes(self._rest)

    def _check(self, line: bytearray) -> None:
        if len(line) > self._max_line:
            text = f"The agent printed a line of more than {self._max_line} bytes."
            raise RunError(ErrorCode.OUTPUT_TOO_LARGE, text)


class LinesParser:
    """Parses each line of stdout by itself, also an unfinished last one. Skips blank lines."""

    def __init__(self, parse: Parser, *, max_line: int = MAX_LINE) -> None:
        self._parse = parse
        self._splitter = LineSplitter(max_line=max_line)

    def feed(self, chunk: bytes) -> Iterator[AgentOutput]:
        for line in self._splitter.feed(chunk):
            yield from self._parsed(line)

    def end(self) -> Iterator[AgentOutput]:
        return self._parsed(self._splitter.end())

    def ended(self, code: int) -> None:
        check_exit(code)

    def _parsed(self, line: bytes) -> Iterator[AgentOutput]:
        if line.strip():
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
