"""The flat text of a run: its assistant messages joined by a blank line.

Rule 1: the joining must live here in this file. A stream, a whole answer and the terminal record have the same text
only because a stream adds up what `FlatText` returns, and the others what `WholeText` holds. They differ in one case: a
stream cannot take back a message that the agent has retracted.
"""

from __future__ import annotations

from collections.abc import Iterable

from shared.run.events import Delta, Retraction

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


class WholeText:
    """The flat text itself, without the messages that the agent has retracted."""

    def __init__(self) -> None:
        self._messages: list[tuple[int, list[str]]] = []  # number and pieces

    def feed(self, data: object) -> None:
        """Takes the next event's data, and ignores all but deltas and retractions."""
        match data:
            case Delta(delta=text, message=number) if text:
                if not self._messages or number > self._messages[-1][0]:
                    self._messages.append((number, []))
                self._messages[-1][1].append(text)
            case Retraction(message=number):
                self._messages = [message for message in self._messages if message[0] != number]

    def __str__(self) -> str:
        return joined("".join(pieces) for _, pieces in self._messages)


def joined(texts: Iterable[str]) -> str:
    """The flat text of these texts. Empty ones leave no blank line behind."""
    return BETWEEN_MESSAGES.join(filter(None, texts))
