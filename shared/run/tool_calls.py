"""Assembles the calls of a client's own tools from their pieces.

Rule 1: the assembling must live here in this file. A whole answer, the terminal record and the transcript have the same
calls only because all of them use `ToolCallAssembler`.
"""

from __future__ import annotations

from shared.run.events import ToolCallDelta
from shared.run.run import ToolCall


class ToolCallAssembler:
    def __init__(self) -> None:
        self._pieces: dict[int, list[ToolCallDelta]] = {}

    def __len__(self) -> int:
        return len(self._pieces)

    def add(self, piece: ToolCallDelta) -> None:
        self._pieces.setdefault(piece.index, []).append(piece)

    @property
    def whole(self) -> tuple[ToolCall, ...]:
        """The calls so far, in the order of their numbers."""
        return tuple(_whole(pieces) for _, pieces in sorted(self._pieces.items()))


def _whole(pieces: list[ToolCallDelta]) -> ToolCall:
    first, arguments = pieces[0], "".join(piece.arguments for piece in pieces)
    extra = {name: value for piece in pieces for name, value in piece.extra.items()}
    return ToolCall(id=first.id, name=first.name, arguments=arguments, extra=extra)
