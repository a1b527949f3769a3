"""Requests to stop."""

import signal
from types import FrameType

ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopSignals:
    """Counts requests to stop.

    The handler only counts, so that no request interrupts something half done: whoever waits looks here at
    each turn.
    """

    def __init__(self) -> None:
        self._count = 0

    def listen(self) -> None:
        """From now to the end of the process: a late Ctrl-C must not turn a clean end into a traceback."""
        for number in ASKING:
            if number == signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
                continue  # under nohup the end of the terminal is no request
            signal.signal(number, self._heard)

    def _heard(self, _number: int, _frame: FrameType | None) -> None:
        self._count += 1

    @property
    def asked(self) -> bool:
        return self._count > 0

    @property
    def insisted(self) -> bool:
        """Asked again, by someone who does not want to wait."""
        return self._count > 1
