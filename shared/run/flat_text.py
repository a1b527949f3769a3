"""The flat text of a run: its assistant messages joined by a blank line.

Rule 1: the joining must live here in this file. A stream, a whole answer and the terminal record say the same
text only because all three add up what `FlatText` returns.
"""

from __future__ import annotations

from shared.run.events import Delta

BETWEEN_MESSAGES = "\n\n"


class FlatText:
    """Where a text stands, not the text itself. The arguments continue one that was begun elsewhere."""

    def __init__(self, *, message: int = 0, empty: bool = True) -> None:
        self.message = message  # the last one that said something
        self.empty = empty

    def add(self, delta: Delta) -> str:
        """What `delta` adds to the flat text. Messages without text leave no blank line behind."""
        if not delta.delta:
            return ""
        begins = delta.message > self.message and not self.empty
        self.message, self.empty = delta.message, False
        return BETWEEN_MESSAGES + delta.delta if begins else delta.delta
