"""Text that only grows and comes in pieces, in snapshots of the whole, or in both."""

from __future__ import annotations


class GrowingText:
    """The results of `add` and `snapshot` add up to the text."""

    def __init__(self) -> None:
        self._text = ""

    def __str__(self) -> str:
        return self._text

    def continues(self, whole: str) -> bool:
        """Whether the text so far is the beginning of `whole`. Otherwise a piece was lost."""
        return whole.startswith(self._text)

    def add(self, piece: str) -> str:
        self._text += piece
        return piece

    def snapshot(self, whole: str) -> str:
        """The text that `whole` adds. Empty when `whole` does not continue the text: emitted text cannot change."""
        return self.add(whole[len(self._text) :]) if whole.startswith(self._text) else ""
