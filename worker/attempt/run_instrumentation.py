"""The seam between the runs of a worker and the metrics that count them."""

from __future__ import annotations

from typing import Protocol

from shared.run.run import End
from worker.attempt.execution import Execution


class RunInstrumentation(Protocol):
    """Receives the events of runs on this worker as they happen. No method waits or raises."""

    def taken(self, execution: Execution) -> None:
        """The worker claimed the run, from the queue or from a lost worker; the claim tells which."""
        ...

    def started(self, execution: Execution) -> None:
        """The run's agent is about to start."""
        ...

    def first_delta(self, execution: Execution) -> None:
        """The agent of this attempt has emitted its first text."""
        ...

    def ended(self, execution: Execution, end: End) -> None:
        """This worker has ended the run."""
        ...

    def handed_back(self, execution: Execution) -> None:
        """This worker has put the run back into the queue, for another worker."""
        ...

    def fenced(self, execution: Execution) -> None:
        """The log or the ledger refused a write, because another attempt owns the run or has ended it."""
        ...

    def lease_lost(self, execution: Execution) -> None:
        """The ledger refused a renewal: another worker has the run, or the run is gone."""
        ...


class NoRunInstrumentation:
    """Counts nothing."""

    def taken(self, execution: Execution) -> None: ...
    def started(self, execution: Execution) -> None: ...
    def first_delta(self, execution: Execution) -> None: ...
    def ended(self, execution: Execution, end: End) -> None: ...
    def handed_back(self, execution: Execution) -> None: ...
    def fenced(self, execution: Execution) -> None: ...
    def lease_lost(self, execution: Execution) -> None: ...
