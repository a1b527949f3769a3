from __future__ import annotations

import pytest

from shared.ledger.audit import Audit
from shared.ledger.ledger import Ledger
from shared.ledger.operations import Deletion, Operations
from shared.ledger.presence import Presence, WorkerOrder
from shared.ledger.run_index import RunFilter, RunIndex
from shared.log.event_log import EventLog
from shared.redis.keys import ALL, PAUSED_MOST
from shared.redis.pipe import Pipe
from shared.run.errors import TooManyPauses, Unavailable
from shared.run.events import Completed, StopReason
from shared.run.states import State
from tests.broker import KEYS, Look
from tests.events import head_after, said
from tests.lossy import LossyPipe
from tests.runs import (
    BOUNDS,
    DONE,
    a_run,
    claim,
    claim_one,
    end_lane_check,
    end_lease,
    end_patience,
    forget,
    members,
    running,
    submit,
)
from tests.shared.announcing import announcement


@pytest.fixture
def operations(pipe: Pipe, log: EventLog) -> Operations:
    return Operations(pipe, KEYS, log)


async def claimed(ledger: Ledger) -> list[str]:
    return [one.run.run_id for one in await claim(ledger)]


# --- pause and resume -------------------------------------------------------------------------------------------------


async def test_nothing_is_claimed_from_a_paused_queue(operations: Operations, ledger: Ledger) -> None:
    await submit(ledger, a_run())
    await operations.pause(ALL, who="olga")
    await submit(ledger, a_run())
    assert await claimed(ledger) == []


async def test_what_waited_is_claimed_in_its_old_order(operations: Operations, ledger: Ledger) -> None:
    runs = [a_run() for _ in range(5)]
    await submit(ledger, runs[0])
    await submit(ledger, runs[1])
    await operations.pause(ALL, who="olga")
    for run in runs[2:]:
        await claimed(ledger)  # moves the held runs aside
        await submit(ledger, run)
    await operations.resume(ALL, who="olga")
    assert await claimed(ledger) == [run.run_id for run in runs]


async def test_an_agent_is_paused_alone(operations: Operations, ledger: Ledger) -> None:
    held, other = a_run(agent_id="coder"), a_run()
    await submit(ledger, held)
    await submit(ledger, other)
    await operations.pause("coder", who="olga")
    assert await claimed(ledger) == [other.run_id]
    await operations.resume("coder", who="olga")
    assert await claimed(ledger) == [held.run_id]


@pytest.mark.slow
async def test_many_runs_of_a_paused_agent_hide_none_of_another(operations: Operations, ledger: Ledger) -> None:
    for _ in range(450):
        await submit(ledger, a_run(agent_id="coder"))
    await submit(ledger, other := a_run())
    await operations.pause("coder", who="olga")
    assert await claimed(ledger) == [other.run_id]


async def test_a_run_under_two_pauses_waits_for_the_end_of_both(operations: Operations, ledger: Ledger) -> None:
    runs = [a_run(agent_id="coder") for _ in range(2)]
    await submit(ledger, runs[0])
    for agent in (ALL, "coder"):
        await operations.pause(agent, who="olga")
        await claimed(ledger)
    await submit(ledger, runs[1])
    for agent in ("coder", ALL):
        assert await claimed(ledger) == []
        await operations.resume(agent, who="olga")
    assert await claimed(ledger) == [run.run_id for run in runs]


async def test_a_run_held_by_one_pause_and_then_by_another_keeps_its_place(
    operations: Operations, ledger: Ledger, look: Look
) -> None:
    first, second = a_run(agent_id="coder"), a_run(agent_id="coder")
    await submit(ledger, first)
    await operations.pause(ALL, who="olga")
    await claimed(ledger)
    await submit(ledger, second)
    await operations.pause("coder", who="olga")
    end_lane_check(look, first.run_id)
    await claimed(ledger)
    await operations.resume(ALL, who="olga")
    await operations.resume("coder", who="olga")
    assert await claimed(ledger) == [first.run_id, second.run_id]


async def test_a_pause_leaves_what_runs_alone(operations: Operations, ledger: Ledger) -> None:
    one = await running(ledger)
    await operations.pause(ALL, who="olga")
    renewals = await ledger.renew({one.run.run_id: one.token}, lease_ms=60_000)
    assert renewals[one.run.run_id].held
    assert await ledger.settle(one, DONE)


async def test_no_worker_takes_over_a_lost_run_of_a_paused_agent(
    operations: Operations, ledger: Ledger, look: Look
) -> None:
    """The janitor may take it, in order to end it or to make it wait with the others."""
    lost = await running(ledger)
    await operations.pause("main", who="olga")
    end_lease(look, lost.run.run_id)
    assert await claimed(ledger) == []
    taken = await ledger.take(lost.run.run_id, "api", lease_ms=60_000)
    assert taken is not None
    assert taken.lost


async def test_no_time_under_a_pause_ends_a_run(operations: Operations, ledger: Ledger, look: Look) -> None:
    await submit(ledger, run := a_run())
    await operations.pause(ALL, who="olga")
    end_patience(look, run.run_id)
    assert await ledger.take(run.run_id, "api", lease_ms=60_000) is None
    await operations.resume(ALL, who="olga")
    record = await ledger.record(run.run_id)
    assert record is not None
    seconds, _ = look.time()
    assert record.queued_until_ms - seconds * 1000 > BOUNDS.queue_timeout_ms - 10_000
    (one,) = await claim(ledger)
    assert one.begun


async def test_a_held_run_can_be_cancelled(operations: Operations, ledger: Ledger) -> None:
    await submit(ledger, run := a_run())
    await operations.pause(ALL, who="olga")
    await claimed(ledger)
    await ledger.cancel(run.run_id, StopReason.USER)
    taken = await ledger.take(run.run_id, "api", lease_ms=60_000)
    assert taken is not None
    await operations.resume(ALL, who="olga")
    assert await claimed(ledger) == []


async def test_a_held_run_does_not_expire(operations: Operations, ledger: Ledger, look: Look) -> None:
    """The janitor restarts its time to live whenever its patience would be over."""
    await submit(ledger, run := a_run())
    await operations.pause("main", who="olga")
    prefixes = KEYS.prefixes()
    kept = [KEYS.run(run.run_id), *(prefixes[name] + run.session_key for name in ("lane", "session"))]
    for key in kept:
        look.pexpire(key, 1_000)
    end_patience(look, run.run_id)
    assert await ledger.overdue(lost_for_ms=1_000, most=9) == []
    assert min(look.pttl(key) for key in kept) > 60_000


async def test_a_run_that_waits_for_its_turn_waits_behind_a_pause_too(operations: Operations, ledger: Ledger) -> None:
    first, second = a_run("s"), a_run("s")
    await submit(ledger, first)
    await submit(ledger, second)
    one = await claim_one(ledger)
    await operations.pause("main", who="olga")
    await ledger.settle(one, DONE)
    assert await claimed(ledger) == []
    await operations.resume("main", who="olga")
    assert await claimed(ledger) == [second.run_id]


async def test_a_run_whose_lane_lost_its_holder_is_not_started_behind_a_pause(
    operations: Operations, ledger: Ledger, look: Look
) -> None:
    first, second = a_run("s"), a_run("s")
    await submit(ledger, first)
    await submit(ledger, second)
    await operations.pause("main", who="olga")
    forget(look, first.run_id)
    end_lane_check(look, second.run_id)
    assert await claimed(ledger) == []
    await operations.resume("main", who="olga")
    assert await claimed(ledger) == [second.run_id]


async def test_a_resume_wakes_workers(operations: Operations, ledger: Ledger, look: Look) -> None:
    await operations.pause(ALL, who="olga")
    for agent in ("main", "coder"):
        await submit(ledger, a_run(agent_id=agent), bell=agent)
    await submit(ledger, a_run(agent_id="late"), bell="late")
    for agent in ("main", "coder", "late"):
        look.delete(KEYS.bell(agent))
    await operations.resume(ALL, who="olga")
    assert [look.llen(KEYS.bell(agent)) > 0 for agent in ("main", "coder", "late")] == [True] * 3


@pytest.mark.slow
async def test_a_resume_restarts_the_patience_of_very_many(operations: Operations, ledger: Ledger, look: Look) -> None:
    runs = [a_run() for _ in range(2_500)]
    for run in runs:
        await submit(ledger, run)
    await operations.pause("main", who="olga")
    for run in runs:
        end_patience(look, run.run_id)
    await operations.resume("main", who="olga")
    assert await ledger.overdue(lost_for_ms=1_000, most=2_500) == []
    assert len(await claim(ledger, most=2_500)) == 2_500


async def test_who_paused_what_is_seen_until_it_is_resumed(operations: Operations) -> None:
    await operations.pause("coder", who="olga")
    await operations.pause("coder", who="otto")
    await operations.pause(ALL, who="otto")
    paused = await operations.paused()
    assert {agent: pause.who for agent, pause in paused.items()} == {"coder": "olga", ALL: "otto"}
    assert all(pause.since_ms > 0 for pause in paused.values())
    await operations.resume("coder", who="olga")
    assert (await operations.paused()).keys() == {ALL}


async def test_no_more_agents_than_so_many_are_paused(operations: Operations, look: Look) -> None:
    look.hset(KEYS.paused, mapping={f"agent-{number}": "1 olga" for number in range(PAUSED_MOST)})
    with pytest.raises(TooManyPauses):
        await operations.pause("coder", who="olga")
    await operations.pause("agent-7", who="olga")  # is paused already


# --- workers ----------------------------------------------------------------------------------------------------------


async def test_a_worker_gets_its_order_with_each_announcement(operations: Operations, pipe: Pipe) -> None:
    presence = Presence(pipe, KEYS)
    assert await presence.announce(announcement("w1")) is WorkerOrder.NONE
    await presence.announce(announcement("w2"))
    assert await operations.drain("w1", who="olga")
    assert [await presence.announce(announcement("w1")) for _ in range(2)] == [WorkerOrder.DRAIN] * 2
    assert await presence.announce(announcement("w2")) is WorkerOrder.NONE
    assert await operations.undrain("w1", who="olga")
    assert await presence.announce(announcement("w1")) is WorkerOrder.NONE


async def test_there_is_no_order_for_a_worker_that_nobody_knows(operations: Operations, pipe: Pipe) -> None:
    assert not await operations.drain("w1", who="olga")
    assert not await operations.undrain("w1", who="olga")
    assert await Audit(pipe, KEYS).latest(10) == []


# --- deleting ---------------------------------------------------------------------------------------------------------


async def test_a_deleted_run_leaves_nothing_behind(
    operations: Operations, ledger: Ledger, log: EventLog, pipe: Pipe, look: Look
) -> None:
    one = await running(ledger)
    run_id = one.run.run_id
    await log.fence(run_id, 1)
    events = said(Completed(), run_id=run_id)
    await log.close(events, head_after(events), DONE)
    await ledger.settle(one, DONE)
    assert await operations.delete(run_id, who="olga") is Deletion.DONE
    assert [key for key in look.keys("*") if run_id.encode() in key] == []
    index = RunIndex(pipe, KEYS)
    for wanted in (RunFilter(), RunFilter(owner="alice"), RunFilter(agent="main"), RunFilter(state="completed")):
        assert (await index.page(wanted, most=10)).run_ids == []
    assert [run_id in members(look, KEYS.state(state)) for state in State] == [False] * len(State)


async def test_a_run_that_has_not_ended_is_not_deleted(operations: Operations, ledger: Ledger) -> None:
    one = await running(ledger)
    await submit(ledger, waits := a_run())
    for run in (one.run, waits):
        assert await operations.delete(run.run_id, who="olga") is Deletion.NOT_ENDED
        assert await ledger.record(run.run_id) is not None


async def test_a_delete_whose_answer_was_lost_is_finished_by_the_next(
    ledger: Ledger, log: EventLog, pipe: Pipe, look: Look
) -> None:
    one = await running(ledger)
    await log.fence(one.run.run_id, 1)
    await ledger.settle(one, DONE)
    lossy = LossyPipe(pipe.redis, ["", "before"])  # the call deletes the record, but not the log
    operations = Operations(lossy, KEYS, EventLog(lossy, KEYS, retention_ms=60_000))
    with pytest.raises(Unavailable):
        await operations.delete(one.run.run_id, who="olga")
    assert look.exists(KEYS.head(one.run.run_id))
    assert await operations.delete(one.run.run_id, who="olga") is Deletion.NO_RUN
    assert not look.exists(KEYS.head(one.run.run_id))
    await lossy.aclose()


# --- the audit --------------------------------------------------------------------------------------------------------


async def test_each_act_is_noted_once_newest_first(operations: Operations, ledger: Ledger, pipe: Pipe) -> None:
    await Presence(pipe, KEYS).announce(announcement("w1"))
    one = await running(ledger)
    await ledger.settle(one, DONE)
    for _ in range(2):  # the second call changes nothing, so it gets no entry
        await operations.pause("coder", who="olga")
    for _ in range(2):
        await operations.resume("coder", who="otto")
    await operations.drain("w1", who="olga")
    await operations.undrain("w1", who="olga")
    for _ in range(2):
        await operations.delete(one.run.run_id, who="otto")
    noted = await Audit(pipe, KEYS).latest(10)
    assert [(note.entry.act, note.entry.target, note.entry.who) for note in reversed(noted)] == [
        ("queue.pause", "coder", "olga"),
        ("queue.resume", "coder", "otto"),
        ("worker.drain", "w1", "olga"),
        ("worker.resume", "w1", "olga"),
        ("run.delete", one.run.run_id, "otto"),
    ]
    assert [note.at_ms for note in noted] == sorted((note.at_ms for note in noted), reverse=True)


async def test_the_audit_is_bounded(operations: Operations, pipe: Pipe, look: Look) -> None:
    look.rpush(KEYS.audit, *('1 {"who":"o","act":"a","target":"t"}' for _ in range(1_500)))
    await operations.pause(ALL, who="olga")
    assert look.llen(KEYS.audit) == 1_000
    assert look.pttl(KEYS.audit) > 0
    assert [note.entry.act for note in await Audit(pipe, KEYS).latest(2)] == ["queue.pause", "a"]
