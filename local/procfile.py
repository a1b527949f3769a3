"""Run the processes of the Procfile as they stand there: `python -m local.procfile`.

A process of its own, so that Ctrl-C in the terminal reaches `python -m local` alone, which stops things in
order. honcho does the work. It ends when one of the processes ends, and with that one's exit code: it asks
the others to stop and kills what is left 5 s later. SIGTERM has the same effect.
"""

import multiprocessing
import os
import signal
import sys
from pathlib import Path
from types import FrameType

from honcho.environ import parse_procfile
from honcho.manager import Manager
from honcho.printer import Printer

from local.terminal import Terminal

LOOK_SECONDS = 1.0
LAST_SECONDS = 7.0  # a little more than honcho's 5 s


def main() -> int:
    # honcho takes the default, which differs between platforms and releases of Python. With this one, what it
    # starts are children of this process, as local/family.py expects.
    multiprocessing.set_start_method("spawn")
    manager = Manager(Printer(Terminal(sys.stdout)))
    for name, command in parse_procfile(Path("Procfile").read_text()).processes.items():
        manager.add_process(name, command)
    _stop_when_orphaned(manager)
    manager.loop()
    return int(manager.returncode)


def _stop_when_orphaned(manager: Manager) -> None:
    """Stop when `python -m local` is gone without a word: SIGKILL, or out of memory.

    By a timer's signal, because honcho's loop leaves no room for a look of our own.
    """
    parent = os.getppid()

    def look(_number: int, _frame: FrameType | None) -> None:
        if os.getppid() != parent:
            signal.signal(signal.SIGALRM, _leave)
            signal.setitimer(signal.ITIMER_REAL, LAST_SECONDS)
            manager.terminate()

    signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, LOOK_SECONDS, LOOK_SECONDS)


def _leave(_number: int, _frame: FrameType | None) -> None:
    """honcho waits for as long as something that its processes have started holds their output open."""
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
