from __future__ import annotations

import pytest

from shared.ledger.lanes import NAMED, Lane, Lanes
from shared.ledger.ledger import Ledger
from shared.redis.pipe import Pipe
from tests.broker import KEYS
from tests.runs import DONE, a_run, claim_one, submit


@pytest.fixture
def lanes(pipe: Pipe) -> Lanes:
    return Lanes(pipe, KEYS)


async def test_a_lane_says_who_is_at_work_and_who_waits(lanes: Lanes, ledger: Ledger) -> None:
    busy = [a_run("agent:coder:s", agent_id="coder") for _ in range(3)]
    for run in (*busy, idle := a_run("agent:main:t", owner="bob")):
        await submit(ledger, run)
    await claim_one(ledger)
    assert await lanes.longest(10) == [
        Lane("agent:coder:s", "coder", "alice", 3, tuple(run.run_id for run in busy)),
        Lane("agent:main:t", "main", "bob", 1, (idle.run_id,)),
    ]
    assert [lane.session for lane in await lanes.longest(1)] == ["agent:coder:s"]


async def test_a_session_with_nothing_to_do_has_no_lane(lanes: Lanes, ledger: Ledger) -> None:
    await submit(ledger, a_run())
    await ledger.settle(await claim_one(ledger), DONE)
    assert await lanes.longest(10) == []


async def test_of_a_long_lane_the_first_are_named(lanes: Lanes, ledger: Ledger) -> None:
    for _ in range(NAMED + 5):
        await submit(ledger, a_run("s"))
    (lane,) = await lanes.longest(10)
    assert (lane.length, len(lane.run_ids)) == (NAMED + 5, NAMED)
