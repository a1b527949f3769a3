from __future__ import annotations

import time
from dataclasses import replace

import pytest
import stamina
from redis.asyncio import Redis

from shared.ledger.finish import finish, terminal_record
from shared.ledger.ledger import Ledger
from shared.log.event_log import EventLog, Head
from shared.run.clock import now_ms
from shared.run.errors import Fenced
from shared.run.events import (
    Cancelled,
    Completed,
    Delta,
    Failed,
    FinishReason,
    Queued,
    StopReason,
    Terminal,
    Tokens,
    ToolUse,
)
from shared.run.run import End
from shared.run.states import State
from tests.broker import KEYS
from tests.events import head_after, said
from tests.lossy import Fault, LossyPipe
from tests.runs import running

TOKENS = Tokens(prompt_tokens=1, completion_tokens=2, total_tokens=3)


async def state_of(ledger: Ledger, run_id: str) -> State:
    record = await ledger.record(run_id)
    assert record is not None
    return record.state


async def test_a_run_that_an_agent_shall_run_goes_on_where_its_log_stands(ledger: Ledger, log: EventLog) -> None:
    claimed = await running(ledger)
    await log.append(said(Queued(), attempt=0, run_id=claimed.run.run_id), Head(1))
    assert await finish(claimed, ledger, log) == Head(1)
    assert await state_of(ledger, claimed.run.run_id) is State.RUNNING


async def test_a_run_that_ends_here_says_so_after_all_that_was_said(ledger: Ledger, log: EventLog) -> None:
    claimed = replace(await running(ledger), attempt=2, cancel=StopReason.USER)
    run_id = claimed.run.run_id
    await log.fence(run_id, 1)
    events = said(Delta(delta="a"), ToolUse(phase="start", name="t"), Delta(delta="b", message=1), run_id=run_id)
    await log.append(events, head_after(events))
    end = End(state=State.CANCELLED, text="a\n\nb", reason=StopReason.USER)
    assert await finish(claimed, ledger, log) == end
    (last,) = await log.read(run_id, 3)
    assert (last.seq, last.attempt, last.data) == (4, 2, Cancelled(reason=StopReason.USER))
    assert await log.head(run_id) == Head(4, 2, 1, end)
    assert await state_of(ledger, run_id) is State.CANCELLED


async def test_a_closed_log_is_only_settled(ledger: Ledger, log: EventLog) -> None:
    claimed = await running(ledger)
    run_id, end = claimed.run.run_id, End(state=State.COMPLETED)
    await log.fence(run_id, 1)
    await log.close(said(Completed(), run_id=run_id), Head(1), end)
    assert await finish(claimed, ledger, log) == end
    assert await state_of(ledger, run_id) is State.COMPLETED
    assert len(await log.read(run_id, 0)) == 1


async def test_a_run_that_a_later_attempt_owns_is_left_to_it(ledger: Ledger, log: EventLog) -> None:
    claimed = await running(ledger)
    await log.fence(claimed.run.run_id, 2)
    with pytest.raises(Fenced):
        await finish(claimed, ledger, log)
    assert await state_of(ledger, claimed.run.run_id) is State.RUNNING


@pytest.mark.parametrize("faults", [["before"] * 5, ["after"] * 5, ["before", "after"] * 5, ["", "after"] * 3])
async def test_whatever_is_lost_on_the_way_the_run_ends_once(redis: Redis, faults: list[Fault]) -> None:
    with stamina.set_testing(True, attempts=100):
        pipe = LossyPipe(redis)
        ledger, log = Ledger(pipe, KEYS), EventLog(pipe, KEYS, retention_ms=60_000)
        claimed = replace(await running(ledger), cancel=StopReason.USER)
        pipe.faults = list(faults)
        assert await finish(claimed, ledger, log) == End(state=State.CANCELLED, reason=StopReason.USER)
        pipe.faults = []
        assert [event.data for event in await log.read(claimed.run.run_id, 0)] == [Cancelled(reason=StopReason.USER)]
        assert await state_of(ledger, claimed.run.run_id) is State.CANCELLED
        await pipe.aclose()


@pytest.mark.parametrize(
    ("terminal", "end"),
    [
        (
            Completed(finish_reason=FinishReason.LENGTH, usage=TOKENS),
            End(state=State.COMPLETED, text="t", finish_reason="length", usage=TOKENS),
        ),
        (
            Failed(code="c", message="m", usage=TOKENS),
            End(state=State.FAILED, text="t", code="c", message="m", detail="d", usage=TOKENS),
        ),
        (
            Cancelled(reason=StopReason.TIMEOUT, usage=TOKENS),
            End(state=State.CANCELLED, text="t", reason=StopReason.TIMEOUT, usage=TOKENS),
        ),
    ],
)
def test_the_record_says_what_the_last_event_says(terminal: Terminal, end: End) -> None:
    assert terminal_record(terminal, "t", "d") == end


def test_now_is_in_milliseconds() -> None:
    assert abs(now_ms() - time.time() * 1000) < 60_000
