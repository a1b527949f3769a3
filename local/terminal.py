"""The person at the terminal: what is told there, and requests to stop."""

import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import TextIO

from shared.run.errors import RunrelayError

_whole_lines = threading.Lock()  # several threads tell what the processes say


class SessionError(RunrelayError):
    """Why the service cannot start on this machine, or cannot go on: one line."""


def tell(text: str, stream: TextIO = sys.stdout) -> None:
    """A closed terminal is no error: there are still processes to stop."""
    with _whole_lines, suppress(OSError):
        print(text, file=stream, flush=True)


def stop_requests() -> Sequence[int]:
    """The signals that ask to stop. It grows by each that comes from now on; a second one asks not to wait.

    They interrupt nothing half done, and a late Ctrl-C does not turn a clean end into a traceback: every loop that
    waits looks here at each turn.
    """
    came: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Under nohup the end of the terminal is no request.
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda number, _: came.append(number))
    return came
