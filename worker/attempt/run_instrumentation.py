"""The seam between the runs of a worker and whoever counts them."""

from __future__ import annotations

from typing import Protocol

from shared.run.run import End
from worker.attempt.execution import Execution


class RunInstrumentation(Protocol):
    """Is told what happens to runs on this worker, as it happens. No method waits or raises."""

    def taken(self, execution: Execution) -> None:
        """The run was claimed; from a lost worker or from the queue, as its claim says."""
        ...

    def started(self, execution: Execution) -> None:
        """Its agent is about to run."""
        ...

    def first_delta(self, execution: Execution) -> None:
        """This attempt's agent has said its first text."""
        ...

    def ended(self, execution: Execution, end: End) -> None:
        """The run has its end, by this worker."""
        ...

    def handed_back(self, execution: Execution) -> None:
        """It waits again, for another worker."""
        ...

    def fenced(self, execution: Execution) -> None:
        """A write was refused, because another attempt owns the run or has ended it."""
        ...

    def lease_lost(self, execution: Execution) -> None:
        """A renewal was refused: the run is another worker's, or gone."""
        ...


class NoRunInstrumentation:
    """Nobody counts."""

    def taken(self, execution: Execution) -> None: ...
    def started(self, execution: Execution) -> None: ...
    def first_delta(self, execution: Execution) -> None: ...
    def ended(self, execution: Execution, end: End) -> None: ...
    def handed_back(self, execution: Execution) -> None: ...
    def fenced(self, execution: Execution) -> None: ...
    def lease_lost(self, execution: Execution) -> None: ...
