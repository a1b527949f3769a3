"""The states of a run, and the only moves between them.

Rule 1: the table must live here in this file. The ledger's scripts get it spliced in front of their text
(`shared/lua.py`), so a move that is not in it cannot be written to Redis, whatever a worker or an API process
believes.
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    QUEUED = "queued"  # accepted; waits for its session's turn or for a worker
    RUNNING = "running"  # some owner holds its lease
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
