"""Text that only grows, told in pieces, in snapshots of the whole, or in both."""

from __future__ import annotations


class GrowingText:
    """What `add` and `snapshot` return adds up to the text."""

    def __init__(self) -> None:
        self._text = ""

    def add(self, piece: str) -> str:
        self._text += piece
        return piece

    def snapshot(self, whole: str) -> str:
        """What `whole` adds. Nothing, when it does not go on where the text ends: what was said stays said."""
        return self.add(whole[len(self._text) :]) if whole.startswith(self._text) else ""
