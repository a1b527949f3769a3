from __future__ import annotations

import pytest

from shared.ledger.ledger import Ledger
from shared.ledger.run_index import LOOK, RunFilter, RunIndex
from shared.redis.pipe import Pipe
from shared.run.events import StopReason
from shared.run.run import End, Run
from shared.run.states import State
from tests.broker import KEYS, Look
from tests.runs import DONE, a_run, claim_one, forget, running, submit


@pytest.fixture
def index(pipe: Pipe) -> RunIndex:
    return RunIndex(pipe, KEYS)


async def found(index: RunIndex, wanted: RunFilter, *, most: int = 100) -> list[str]:
    """The ids of all runs that match, collected page by page."""
    page = await index.page(wanted, most=most)
    ids = page.run_ids
    while page.cursor:
        page = await index.page(wanted, cursor=page.cursor, most=most)
        ids += page.run_ids
    return ids


async def ended(ledger: Ledger, run: Run, end: End = DONE) -> str:
    await submit(ledger, run)
    one = await claim_one(ledger)
    await ledger.settle(one, end)
    return run.run_id


async def test_every_filter_finds_what_fits_and_nothing_else(index: RunIndex, ledger: Ledger) -> None:
    lost = End(state=State.FAILED, code="worker_lost")
    failed = await ended(ledger, a_run(agent_id="coder"), lost)
    other = await ended(ledger, a_run(agent_id="coder", owner="bob"), End(state=State.FAILED, code="agent_failed"))
    done = await ended(ledger, a_run("agent:main:s", owner="bob"))
    runs = (await running(ledger, a_run("agent:main:s", owner="bob"))).run.run_id
    await submit(ledger, waits := a_run())
    expected = {
        RunFilter(): [waits.run_id, runs, done, other, failed],
        RunFilter(state="failed"): [other, failed],
        RunFilter(state="running"): [runs],
        RunFilter(state="queued"): [waits.run_id],
        RunFilter(agent="coder"): [other, failed],
        RunFilter(owner="bob"): [runs, done, other],
        RunFilter(session="agent:main:s"): [runs, done],
        RunFilter(worker="w1"): [runs, done, other, failed],
        RunFilter(code="worker_lost"): [failed],
        RunFilter(state="failed", agent="coder", owner="bob"): [other],
        RunFilter(state="completed", agent="coder"): [],
        RunFilter(agent="nobody"): [],
        RunFilter(prefix=done): [done],
        RunFilter(prefix="chatcmpl_", state="queued"): [waits.run_id],
        RunFilter(prefix="other"): [],
    }
    for wanted, ids in expected.items():
        assert await found(index, wanted) == ids, wanted
        assert await found(index, wanted, most=1) == ids, wanted


async def test_a_time_bounds_what_is_found(index: RunIndex, ledger: Ledger, look: Look) -> None:
    runs = [a_run() for _ in range(3)]
    for run in runs:
        await submit(ledger, run)
    ids = [run.run_id for run in runs]
    for name in (KEYS.prefixes()["runs"], KEYS.state("queued")):
        look.zadd(name, {run_id: 1_000.5 + number for number, run_id in enumerate(ids)})
    assert await found(index, RunFilter(since_ms=1_001)) == [ids[2], ids[1]]
    assert await found(index, RunFilter(to_ms=1_001)) == [ids[0]]
    assert await found(index, RunFilter(since_ms=1_001, to_ms=1_002, state="queued")) == [ids[1]]


async def test_the_one_run_that_fits_is_found_behind_very_many(index: RunIndex, pipe: Pipe, look: Look) -> None:
    """One script that read all of them would block Redis for every other client."""
    number = 3 * LOOK
    look.zadd(KEYS.prefixes()["runs"], {f"chatcmpl_{i}": i for i in range(number)})
    look.expire(KEYS.prefixes()["runs"], 60)
    look.hset(KEYS.run("chatcmpl_0"), mapping={"state": "failed", "session": "mine"})
    look.expire(KEYS.run("chatcmpl_0"), 60)
    assert await found(index, RunFilter(session="mine")) == ["chatcmpl_0"]


async def test_a_run_that_has_expired_is_passed_over(index: RunIndex, ledger: Ledger, look: Look) -> None:
    for _ in range(2):
        await submit(ledger, run := a_run())
    forget(look, run.run_id)
    assert len(await found(index, RunFilter())) == 1
    assert await index.rows([run.run_id]) == []


async def test_a_run_is_found_in_the_state_that_it_is_in(index: RunIndex, ledger: Ledger) -> None:
    await submit(ledger, run := a_run())
    for operation, state in (
        ("claim", "running"),
        ("release", "queued"),
        ("claim", "running"),
        ("settle", "completed"),
    ):
        match operation:
            case "claim":
                one = await claim_one(ledger)
            case "release":
                await ledger.release(run.run_id, one.token, spend=False)
            case "settle":
                await ledger.settle(one, DONE)
        assert [one for one in State if await found(index, RunFilter(state=one))] == [state]


async def test_a_row_has_all_but_the_texts(index: RunIndex, ledger: Ledger) -> None:
    lost = End(state=State.FAILED, code="worker_lost")
    failed = await ended(ledger, a_run("agent:coder:s", agent_id="coder"), lost)
    await submit(ledger, waits := a_run())
    await ledger.cancel(waits.run_id, StopReason.USER)
    one, other = await index.rows([failed, waits.run_id])
    assert (one.run_id, one.state, one.agent, one.session) == (failed, State.FAILED, "coder", "agent:coder:s")
    assert (one.owner, one.worker, one.begun, one.tries, one.code) == ("alice", "w1", 1, 1, "worker_lost")
    assert 0 < one.queued_ms <= one.ready_ms <= one.started_ms <= one.ended_ms
    assert (other.state, other.cancel, other.started_ms, other.again) == (State.QUEUED, StopReason.USER, 0, "")


async def test_what_has_ended_is_counted(index: RunIndex, ledger: Ledger) -> None:
    for state in (State.FAILED, State.CANCELLED, State.FAILED):
        await ended(ledger, a_run(), End(state=state))
    await running(ledger)
    assert await index.ended() == {State.COMPLETED: 0, State.FAILED: 2, State.CANCELLED: 1}


async def test_indexes_forget_runs_as_records_are_forgotten(ledger: Ledger, look: Look) -> None:
    failed = await ended(ledger, a_run(), End(state=State.FAILED))
    prefixes = KEYS.prefixes()
    indexes = [prefixes["runs"], prefixes["owned"] + "alice", prefixes["agent"] + "main", KEYS.state("failed")]
    for name in indexes:
        look.zadd(name, {failed: 1})
    await ended(ledger, a_run(), End(state=State.FAILED))
    assert [look.zscore(name, failed) for name in indexes] == [None] * 4


async def test_a_run_that_waits_for_longer_than_runs_are_kept_is_found_all_the_same(
    index: RunIndex, ledger: Ledger, look: Look
) -> None:
    await submit(ledger, run := a_run())
    look.zadd(KEYS.state("queued"), {run.run_id: 1})
    look.zadd(KEYS.prefixes()["runs"], {run.run_id: 1})
    await submit(ledger, other := a_run())
    assert await found(index, RunFilter(state="queued")) == [other.run_id, run.run_id]


async def test_the_oldest_runs_of_a_state(index: RunIndex, ledger: Ledger) -> None:
    runs = [(await running(ledger)).run.run_id for _ in range(3)]
    await submit(ledger, a_run())
    assert [row.run_id for row in await index.oldest(State.RUNNING, 2)] == runs[:2]
    assert await index.oldest(State.FAILED, 2) == []
