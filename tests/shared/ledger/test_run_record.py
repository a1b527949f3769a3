from __future__ import annotations

import pytest

from shared.ledger.ledger import Ledger
from shared.ledger.run_index import RunIndex
from shared.ledger.run_record import RunRow, record_of, row_of
from shared.redis.pipe import Pipe
from tests.broker import KEYS
from tests.runs import DONE, a_run, running, submit

RUN = a_run()
RECORD = {
    "v": "1",
    "spec": RUN.model_dump_json(by_alias=True),
    "agent": RUN.agent_id,
    "session": RUN.session_key,
    "owner": RUN.owner,
    "state": "queued",
    "attempt": "0",
    "tries": "0",
    "queued": "12",
    "queued_until": "0",
}


@pytest.mark.parametrize("foreground", [True, False])
@pytest.mark.parametrize("has_ended", [True, False])
async def test_a_row_says_what_the_whole_record_says(
    ledger: Ledger, pipe: Pipe, *, foreground: bool, has_ended: bool
) -> None:
    run = a_run(foreground=foreground, created_ms=123)
    if has_ended:
        await ledger.settle(await running(ledger, run), DONE)
    else:
        await submit(ledger, run)
    record = await ledger.record(run.run_id)
    assert record is not None
    assert [RunRow(**record.model_dump(include=set(RunRow.model_fields)))] == await RunIndex(pipe, KEYS).rows(
        [run.run_id]
    )
    assert (record.foreground, record.created_ms, record.agent) == (foreground, 123, run.agent_id)


def test_what_an_earlier_release_has_written_can_be_read() -> None:
    """It wrote `created` and `foreground` only into the run's `spec`, and not as fields of the record."""
    row, record = row_of(RUN.run_id, RECORD), record_of(RECORD)
    assert (row.created_ms, row.foreground) == (12, False)
    assert (record.created_ms, record.foreground) == (RUN.created_ms, RUN.foreground)
