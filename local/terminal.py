"""The user at the terminal: what `make run` prints there, and requests to stop."""

import signal
import threading
from collections.abc import Sequence
from contextlib import suppress

from shared.run.errors import RunrelayError

_whole_lines = threading.Lock()  # a thread for each process prints here


class SessionError(RunrelayError):
    """The service cannot start on this machine, or cannot go on. The text is one line."""


def show(text: str) -> None:
    """Ignores a closed terminal: there are still processes to stop."""
    with _whole_lines, suppress(OSError):
        print(text, flush=True)


def stop_requests() -> Sequence[int]:
    """The signals that request a stop, which the sequence collects as they come. At a second one, waiting ends.

    They interrupt nothing half done, and a late Ctrl-C does not turn a clean end into a traceback: every loop that
    waits reads the sequence at each turn.
    """
    received: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Under nohup, which ignores SIGHUP, the service outlives its terminal.
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda number, _: received.append(number))
    return received
