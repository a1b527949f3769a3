"""Parses the output of a CLI that prints one JSON object, over many lines, at its end."""

from __future__ import annotations

from collections.abc import Iterator

from shared.run.errors import ErrorCode, RunError
from worker.agents.command.stdout_parsers import Parser, check_exit
from worker.agents.protocol import AgentOutput

MAX_BYTES = 16_777_216


class SingleObjectParser:
    """Parses stdout at its end, from the first line that begins with `{`: a banner may come before that line."""

    def __init__(self, parse: Parser) -> None:
        self._parse = parse
        self._printed = bytearray()

    def feed(self, chunk: bytes) -> Iterator[AgentOutput]:
        self._printed += chunk
        if len(self._printed) > MAX_BYTES:
            raise RunError(ErrorCode.OUTPUT_TOO_LARGE, f"The agent printed more than {MAX_BYTES} bytes.")
        return iter(())

    def end(self) -> Iterator[AgentOutput]:
        start = 0 if self._printed.startswith(b"{") else self._printed.find(b"\n{") + 1
        if self._printed.strip():
            yield from self._parse(bytes(self._printed[start:]))

    def ended(self, code: int) -> None:
        check_exit(code)
