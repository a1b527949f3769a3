from __future__ import annotations

import pytest

from api.admin.admin_run_views import row
from shared.ledger.run_record import RunRow
from shared.run.states import State


def known(state: State, **fields: object) -> RunRow:
    row = RunRow(run_id="r", agent="main", session="s", owner="o", state=state, queued_ms=1)
    return row.model_copy(update=fields)


@pytest.mark.parametrize(
    ("state", "ready_ms", "started_ms", "wait_ms"),
    [
        (State.QUEUED, 0, 0, None),  # it waits for its session's turn
        (State.QUEUED, 100, 0, 900),
        (State.QUEUED, 100, 50, 900),  # handed back
        (State.RUNNING, 100, 150, 50),
        (State.COMPLETED, 100, 150, 50),
        (State.RUNNING, 100, 50, None),  # at work again
        (State.FAILED, 100, 0, None),  # never started
        (State.QUEUED, 1_500, 0, 0),  # clocks differ
    ],
)
def test_how_long_a_run_waited(state: State, ready_ms: int, started_ms: int, wait_ms: int | None) -> None:
    assert row(known(state, ready_ms=ready_ms, started_ms=started_ms), 0, 1_000).wait_ms == wait_ms


def test_what_has_not_come_to_pass_is_null() -> None:
    seen = row(known(State.QUEUED), 0, 1_000)
    assert (seen.started_ms, seen.first_text_ms, seen.ended_ms, seen.code, seen.worker, seen.again) == (None,) * 6
