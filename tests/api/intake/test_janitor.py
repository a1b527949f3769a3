from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis

from api.intake.janitor import SETTLED_ROUNDS, Janitor
from shared.ledger.ledger import Claim, Ledger
from shared.ledger.reader_leases import ReaderLeases
from shared.log.event_log import EventLog, Head
from shared.redis.pipe import Pipe
from shared.run.events import Cancelled, Completed, Delta, EventData, Failed, Queued, StopReason
from shared.run.run import CONTRACT, End, Policy, Run
from shared.run.states import State
from tests.broker import KEYS, Look
from tests.events import head_after, said
from tests.lossy import LossyPipe
from tests.runs import LEASE_MS, a_run, claim, claim_one, end_lease, end_patience, running, submit


@pytest.fixture
def janitor(pipe: Pipe) -> Janitor:
    return janitor_with(pipe)


def janitor_with(pipe: Pipe, name: str = "api") -> Janitor:
    ledger, log = Ledger(pipe, KEYS), EventLog(pipe, KEYS, retention_ms=60_000)
    return Janitor(name, ledger, log, ReaderLeases(pipe, KEYS))


async def last_of(log: EventLog, run: Run) -> EventData:
    return (await log.read(run.run_id, 0))[-1].data


async def state_of(ledger: Ledger, run: Run) -> State:
    record = await ledger.record(run.run_id)
    assert record is not None
    return record.state


async def lost(ledger: Ledger, log: EventLog, look: Look, *emitted: EventData, policy: Policy | None = None) -> Claim:
    """A run whose worker died after it had emitted these events."""
    run = a_run()
    await submit(ledger, run)
    (claimed,) = await ledger.claim("w1", serves={"*": policy or Policy()}, lease_ms=LEASE_MS, most=1)
    await say_and_lose(log, look, run, *emitted)
    return claimed


async def say_and_lose(log: EventLog, look: Look, run: Run, *emitted: EventData) -> None:
    await log.fence(run.run_id, 1)
    look.hset(KEYS.head(run.run_id), "started", 1)  # without its event, which would stand among those emitted
    if emitted:
        events = said(*emitted, run_id=run.run_id)
        await log.append(events, head_after(events))
    end_lease(look, run.run_id)


# --- no worker alive --------------------------------------------------------------------------------------------------


async def test_a_run_that_no_worker_takes_ends(janitor: Janitor, ledger: Ledger, log: EventLog, look: Look) -> None:
    run, patient = a_run(), a_run()
    await submit(ledger, run)
    await submit(ledger, patient)
    end_patience(look, run.run_id)
    await janitor.tidy()
    last = await last_of(log, run)
    assert isinstance(last, Failed)
    assert last.code == "queue_timeout"
    assert await state_of(ledger, run) is State.FAILED
    assert await state_of(ledger, patient) is State.QUEUED


async def test_the_next_of_its_session_gets_its_turn(janitor: Janitor, ledger: Ledger, look: Look) -> None:
    first, second = a_run("s"), a_run("s")
    await submit(ledger, first)
    await submit(ledger, second)
    end_patience(look, first.run_id)
    await janitor.tidy()
    assert (await claim_one(ledger)).run == second


async def test_a_run_whose_worker_died_after_it_had_spoken_ends(
    janitor: Janitor, ledger: Ledger, log: EventLog, look: Look
) -> None:
    claimed = await lost(ledger, log, look, Queued(), Delta(delta="Half an ans"))
    await janitor.tidy()
    last, end = await last_of(log, claimed.run), await log.end(claimed.run.run_id)
    assert isinstance(last, Failed)
    assert last.code == "worker_lost"
    assert end is not None
    assert (end.code, end.text) == ("worker_lost", "Half an ans")
    assert await state_of(ledger, claimed.run) is State.FAILED


async def test_a_silent_run_whose_worker_died_is_left_to_a_worker(
    janitor: Janitor, ledger: Ledger, log: EventLog, look: Look
) -> None:
    """The API cannot run the run, and the janitor's claim does not count as a try."""
    claimed = await lost(ledger, log, look, Queued())
    look.delete(KEYS.bell("main"))
    await janitor.tidy()
    assert await state_of(ledger, claimed.run) is State.QUEUED
    assert look.llen(KEYS.bell("main")) == 1
    again = await claim_one(ledger, "w2")
    assert (again.run, again.tries) == (claimed.run, 2)
    assert await log.end(claimed.run.run_id) is None


@pytest.mark.parametrize(
    ("policy", "emitted", "ends"),
    [
        (Policy(on_worker_lost="fail"), (), True),
        (Policy(on_worker_lost="retry"), (Delta(delta="Hi"),), False),
        (Policy(max_attempts=1), (), True),
        (Policy(max_attempts=2), (), False),
    ],
)
async def test_the_policy_of_a_lost_runs_agent_decides(
    janitor: Janitor,
    ledger: Ledger,
    log: EventLog,
    look: Look,
    policy: Policy,
    emitted: tuple[EventData, ...],
    ends: bool,
) -> None:
    claimed = await lost(ledger, log, look, *emitted, policy=policy)
    await janitor.tidy()
    assert await state_of(ledger, claimed.run) is (State.FAILED if ends else State.QUEUED)


async def test_a_run_that_died_between_log_and_ledger_is_only_settled(
    janitor: Janitor, ledger: Ledger, log: EventLog, look: Look
) -> None:
    claimed = await lost(ledger, log, look)
    last = said(Completed(), run_id=claimed.run.run_id)
    await log.close(last, Head(1), End(state=State.COMPLETED))
    await janitor.tidy()
    assert await state_of(ledger, claimed.run) is State.COMPLETED
    assert await log.read(claimed.run.run_id, 0) == last


async def test_a_cancelled_run_whose_worker_died_is_cancelled(
    janitor: Janitor, ledger: Ledger, log: EventLog, look: Look
) -> None:
    claimed = await lost(ledger, log, look)
    await ledger.cancel(claimed.run.run_id, StopReason.USER)
    await janitor.tidy()
    assert await last_of(log, claimed.run) == Cancelled(reason=StopReason.USER)


# --- runs that the janitor leaves alone -------------------------------------------------------------------------------


async def test_a_run_that_is_looked_after_is_left_alone(janitor: Janitor, ledger: Ledger, log: EventLog) -> None:
    claimed, waiting = await running(ledger), a_run()
    await submit(ledger, waiting)
    await janitor.tidy()
    for run in (claimed.run, waiting):
        await janitor.end(run.run_id)
    assert await state_of(ledger, claimed.run) is State.RUNNING
    assert await state_of(ledger, waiting) is State.QUEUED
    assert await log.read(claimed.run.run_id, 0) == await log.read(waiting.run_id, 0) == []


async def test_workers_come_first(janitor: Janitor, ledger: Ledger, log: EventLog, look: Look) -> None:
    """The lease has ended only just now. A live worker can do more for the run than end it."""
    claimed = await lost(ledger, log, look, Delta(delta="Hi"))
    now = look.time()
    look.zadd(KEYS.leases, {claimed.run.run_id: now[0] * 1000 + now[1] / 1000})
    await janitor.tidy()
    assert await state_of(ledger, claimed.run) is State.RUNNING


async def test_a_run_of_a_newer_release_is_left_alone(
    janitor: Janitor, ledger: Ledger, log: EventLog, look: Look
) -> None:
    claimed = await lost(ledger, log, look, Delta(delta="Hi"))
    look.hset(KEYS.run(claimed.run.run_id), "v", CONTRACT + 1)
    await janitor.tidy()
    assert await state_of(ledger, claimed.run) is State.RUNNING


async def test_two_janitors_end_a_run_once(
    janitor: Janitor, ledger: Ledger, log: EventLog, redis: Redis, look: Look
) -> None:
    pipe = Pipe(redis)
    other = janitor_with(pipe, "other")
    for _ in range(5):
        claimed = await lost(ledger, log, look, Delta(delta="Hi"))
        await asyncio.gather(janitor.tidy(), other.tidy())
        events = await log.read(claimed.run.run_id, 0)
        assert [type(event.data) for event in events] == [Delta, Failed]
    await pipe.aclose()


async def test_a_run_that_another_attempt_has_taken_meanwhile_is_let_go(
    janitor: Janitor, ledger: Ledger, log: EventLog, look: Look
) -> None:
    claimed = await lost(ledger, log, look, Delta(delta="Hi"))
    await log.fence(claimed.run.run_id, 9)
    await janitor.tidy()
    assert len(await log.read(claimed.run.run_id, 0)) == 1


async def test_one_round_ends_all_of_very_many(janitor: Janitor, ledger: Ledger, log: EventLog, look: Look) -> None:
    """A machine with hundreds of runs vanished, and hundreds of others waited for it."""
    gone, late = [await running(ledger) for _ in range(150)], [a_run() for _ in range(150)]
    for one in gone:
        await say_and_lose(log, look, one.run, Delta(delta="Hi"))
    for run in late:
        await submit(ledger, run)
        end_patience(look, run.run_id)
    await janitor.tidy()
    ends = [await log.end(run.run_id) for run in (*(one.run for one in gone), *late)]
    assert [end.code for end in ends if end] == ["worker_lost"] * 150 + ["queue_timeout"] * 150


# --- cancelling -------------------------------------------------------------------------------------------------------


async def test_a_run_that_waits_is_cancelled_at_once(janitor: Janitor, ledger: Ledger, log: EventLog) -> None:
    run = a_run()
    await submit(ledger, run)
    assert await janitor.cancel(run.run_id, StopReason.USER) is not None
    assert await last_of(log, run) == Cancelled(reason=StopReason.USER)
    assert await state_of(ledger, run) is State.CANCELLED
    assert await claim(ledger) == []


async def test_a_run_that_waits_for_its_session_is_cancelled_at_once(
    janitor: Janitor, ledger: Ledger, log: EventLog
) -> None:
    claimed, waiting = await running(ledger, a_run("s")), a_run("s")
    await submit(ledger, waiting)
    await janitor.cancel(waiting.run_id, StopReason.USER)
    assert await state_of(ledger, waiting) is State.CANCELLED
    assert await state_of(ledger, claimed.run) is State.RUNNING


async def test_a_running_run_is_left_to_its_worker(janitor: Janitor, ledger: Ledger, log: EventLog) -> None:
    claimed = await running(ledger)
    assert await janitor.cancel(claimed.run.run_id, StopReason.USER) is State.RUNNING
    record = await ledger.record(claimed.run.run_id)
    assert record is not None
    assert (record.state, record.cancel) == (State.RUNNING, StopReason.USER)


async def test_there_may_be_no_run_to_cancel(janitor: Janitor) -> None:
    assert await janitor.cancel("chatcmpl_none", StopReason.USER) is None


# --- readers ----------------------------------------------------------------------------------------------------------


async def test_a_run_without_readers_is_cancelled_when_all_had_time_to_say_that_they_are_there(
    janitor: Janitor, ledger: Ledger, log: EventLog, look: Look
) -> None:
    run, background = a_run(), a_run(foreground=False)
    await submit(ledger, run)
    await submit(ledger, background)
    look.zadd(KEYS.prefixes()["attended"], {run.run_id: 1})
    for _ in range(SETTLED_ROUNDS):
        await janitor.go_round()
        assert await state_of(ledger, run) is State.QUEUED
    await janitor.go_round()
    assert await last_of(log, run) == Cancelled(reason=StopReason.DISCONNECT)
    assert await state_of(ledger, background) is State.QUEUED


async def test_when_redis_was_away_readers_get_that_time_again(redis: Redis, ledger: Ledger, look: Look) -> None:
    pipe = LossyPipe(redis)
    janitor, run = janitor_with(pipe), a_run()
    await submit(ledger, run)
    look.zadd(KEYS.prefixes()["attended"], {run.run_id: 1})
    for _ in range(SETTLED_ROUNDS):
        await janitor.go_round()
    pipe.faults = ["before"]
    for _ in range(SETTLED_ROUNDS + 1):
        await janitor.go_round()
        assert await state_of(ledger, run) is State.QUEUED
    await janitor.go_round()
    assert await state_of(ledger, run) is State.CANCELLED
    await pipe.aclose()
