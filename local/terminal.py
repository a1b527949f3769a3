"""stdout and stderr, also when the terminal behind them is closed: there are still processes to stop."""

import sys
from contextlib import suppress
from typing import TextIO


class Terminal:
    """As much of a text stream as print needs."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with suppress(OSError):
            self._stream.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()

    def isatty(self) -> bool:
        return self._stream.isatty()


def tell(text: str) -> None:
    print(text, file=Terminal(sys.stdout), flush=True)


def complain(text: str) -> None:
    print(text, file=Terminal(sys.stderr), flush=True)
