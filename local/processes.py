"""The processes of the Procfile, as one thing that runs, ends and is stopped."""

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from local.family import Family
from local.stop_signals import StopSignals

PATIENCE_SECONDS = 7.0  # a little more than the runner's own 5 s, which begin when the first process has ended
LOOK_SECONDS = 1.0  # between two looks at the family, each some ms of CPU
TICK_SECONDS = 0.05


class Processes:
    """Started by the constructor. `stop` leaves none of them, nor what they have started."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        # In a session of its own: what the terminal sends on Ctrl-C does not reach it.
        self._runner = subprocess.Popen(
            [sys.executable, "-m", "local.procfile"], env=environment, start_new_session=True
        )
        self._family = Family(self._runner.pid)
        self._looked = 0.0
        self.settled = False

    def settle(self) -> None:
        """To be called once all of them are ready: from here on there is something to hand back at the end."""
        self._look()
        self.settled = True

    def ended(self) -> bool:
        """Whether one of them has ended.

        It is not enough to watch the runner: it waits for the end of their output, which comes later than their
        own where something that they have started holds it open.
        """
        return self._runner.poll() is not None or self._running() != self._family.lines

    def stop(self, signals: StopSignals) -> None:
        """Ask, wait, then kill what is left."""
        # A runner that is still starting its processes cannot stop them; and where nothing was ready, nothing
        # has to be handed back.
        if self.settled:
            self._look()
            self._runner.terminate()
            self._wait(signals)
        self._family.kill()
        self._runner.wait()

    def _wait(self, signals: StopSignals) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self._runner.poll() is None and self._running() and time.monotonic() < deadline and not signals.insisted:
            time.sleep(TICK_SECONDS)

    def _running(self) -> frozenset[int]:
        if time.monotonic() - self._looked > LOOK_SECONDS:
            self._look()
        return self._family.running_lines()

    def _look(self) -> None:
        self._family.look()
        self._looked = time.monotonic()


@contextmanager
def running(environment: Mapping[str, str], signals: StopSignals) -> Iterator[Processes]:
    processes = Processes(environment)
    try:
        yield processes
    finally:
        processes.stop(signals)
