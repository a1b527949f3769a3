"""The flat text of a run: its assistant messages joined by a blank line.

Rule 1: the joining must live here in this file. A stream, a whole answer and the terminal record have the same text
only because all three add up what `FlatText` returns.
"""

from __future__ import annotations

from shared.run.events import Delta

BETWEEN_MESSAGES = "\n\n"


class FlatText:
    """The state of a flat text, without the text itself. The arguments continue a text that began elsewhere."""

    def __init__(self, *, message: int = 0, empty: bool = True) -> None:
        self.message = message  # number of the last message with text
        self.empty = empty

    def add(self, delta: Delta) -> str:
        """What `delta` adds to the flat text. Messages without text leave no blank line behind."""
        if not delta.delta:
            return ""
        begins = delta.message > self.message and not self.empty
        self.message, self.empty = delta.message, False
        return BETWEEN_MESSAGES + delta.delta if begins else delta.delta
