"""What a command prints, as what it says: bytes in, said things out. No I/O happens here."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from shared.errors import ErrorCode, RunError
from shared.events import Delta
from worker.agents.protocol import Spoken

MAX_LINE = 1_048_576  # bytes, without the line's end

Parser = Callable[[bytes], Iterable[Spoken]]


class Output(Protocol):
    """The reading of one run's stdout. What is returned has to be iterated before the next call."""

    def feed(self, chunk: bytes) -> Iterable[Spoken]:
        """Takes the next bytes. Raises RunError when they break the format."""
        ...

    def end(self) -> Iterable[Spoken]:
        """Takes the end of stdout. Raises RunError likewise."""
        ...


class Text:
    """All of stdout is the answer. What is no UTF-8 becomes U+FFFD, wherever the bytes were cut."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, chunk: bytes) -> Iterator[Spoken]:
        return self._said(self._decoder.decode(chunk))

    def end(self) -> Iterator[Spoken]:
        return self._said(self._decoder.decode(b"", final=True))

    def _said(self, text: str) -> Iterator[Spoken]:
        if text:
            yield Delta(delta=text)


class Lines:
    """Each line of stdout is parsed by itself, also an unfinished last one. Blank lines are skipped."""

    def __init__(self, parse: Parser) -> None:
        self._parse = parse
        self._rest = b""

    def feed(self, chunk: bytes) -> Iterator[Spoken]:
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            yield from self._said(line)
        _bounded(self._rest)

    def end(self) -> Iterator[Spoken]:
        return self._said(self._rest)

    def _said(self, line: bytes) -> Iterator[Spoken]:
        if line.strip():
            yield from self._parse(_bounded(line))


def _bounded(line: bytes) -> bytes:
    if len(line) > MAX_LINE:
        raise RunError(ErrorCode.OUTPUT_TOO_LARGE, f"The agent printed a line of more than {MAX_LINE} bytes.")
    return line
