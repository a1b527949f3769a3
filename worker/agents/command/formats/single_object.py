"""Parses the output of a CLI that prints one JSON object, over many lines, at its end."""

from __future__ import annotations

import json
from collections.abc import Iterator

from shared.run.errors import ErrorCode, RunError
from worker.agents.command.stdout_parsers import Parser, check_exit
from worker.agents.protocol import AgentOutput

MAX_BYTES = 16_777_216


class SingleObjectParser:
    """Parses stdout when its object is complete, from the first line that begins with `{`: a banner may come before
    that line."""

    over = False  # the format knows
    busy = False
    conversation = None

    def __init__(self, parse: Parser) -> None:
        self._parse = parse
        self._printed = bytearray()
        self._parsed = False

    def feed(self, chunk: bytes) -> Iterator[AgentOutput]:
        self._printed += chunk
        if len(self._printed) > MAX_BYTES:
            raise RunError(ErrorCode.OUTPUT_TOO_LARGE, f"The agent printed more than {MAX_BYTES} bytes.")
        if not self._parsed and chunk.rstrip().endswith(b"}") and self._is_whole():
            yield from self.end()

    def end(self) -> Iterator[AgentOutput]:
        if self._printed.strip() and not self._parsed:
            self._parsed = True
            yield from self._parse(self._object())

    def _object(self) -> bytes:
        start = 0 if self._printed.startswith(b"{") else self._printed.find(b"\n{") + 1
        return bytes(self._printed[start:])

    def _is_whole(self) -> bool:
        try:
            json.loads(self._object())
        except (ValueError, RecursionError):
            return False
        return True

    def ended(self, code: int) -> None:
        check_exit(code)
