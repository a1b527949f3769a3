"""The states of a run, and the only moves between them.

Rule 1: the table must live here in this file. `shared/ledger/ledger_script.py` puts it in front of the text of each
ledger script, so no worker and no API process can write a move to Redis that is not in it.
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    QUEUED = "queued"  # accepted; waits for its session's turn or for a worker
    RUNNING = "running"  # an owner holds its lease
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDS = frozenset({State.COMPLETED, State.FAILED, State.CANCELLED})

MOVES: dict[State, frozenset[State]] = {
    # running -> running is a takeover: the lease was over and another owner claimed the run.
    State.QUEUED: frozenset({State.RUNNING}),
    State.RUNNING: frozenset({State.RUNNING, State.QUEUED}) | ENDS,
    State.COMPLETED: frozenset(),
    State.FAILED: frozenset(),
    State.CANCELLED: frozenset(),
}
