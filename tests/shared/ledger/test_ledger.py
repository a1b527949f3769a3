from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from shared.ledger.audit import Audit
from shared.ledger.ledger import (
    PARTS_BYTES,
    TRANSCRIPT_BYTES,
    TRANSCRIPT_TURNS,
    Accepted,
    Claim,
    Ledger,
    Renewal,
    RequestIdentity,
    Rerun,
)
from shared.ledger.operations import AuditAction, audit_entry
from shared.redis.keys import BELL_LENGTH
from shared.redis.pipe import Pipe
from shared.run.conversation import StoredConversation
from shared.run.errors import KeyReused, QueueFull, SessionTaken
from shared.run.events import StopReason
from shared.run.run import CONTRACT, End, Part, Policy, Run, ToolCall, Turn
from shared.run.states import State
from tests.broker import KEYS, Broker, Look, opened_client
from tests.runs import (
    BOUNDS,
    DONE,
    LEASE_MS,
    ONCE,
    a_run,
    claim,
    claim_one,
    end_lane_check,
    end_lease,
    end_patience,
    forget,
    lane,
    members,
    running,
    submit,
)

NAMES = KEYS.prefixes()
FIRST = RequestIdentity("digest", counted=True)  # the first try of a client that counts its tries, as OpenAI's SDKs do


@pytest.fixture
async def other(broker: Broker) -> AsyncIterator[Ledger]:
    """The ledger in another process: over connections of its own."""
    async with opened_client(broker) as client:
        pipe = Pipe(client)
        yield Ledger(pipe, KEYS)
        await pipe.aclose()


def ids(claims: list[Claim]) -> list[str]:
    return [claimed.run.run_id for claimed in claims]


async def state_of(ledger: Ledger, run_id: str) -> State | None:
    record = await ledger.record(run_id)
    return record.state if record else None


# --- submit -----------------------------------------------------------------------------------------------------------


async def overdue(ledger: Ledger, *, lost_for_ms: int = 1_000) -> list[str]:
    return await ledger.overdue(lost_for_ms=lost_for_ms, most=100)


async def test_an_accepted_run_waits_in_the_queue(ledger: Ledger) -> None:
    run = a_run()
    accepted = await submit(ledger, run)
    assert (accepted.run_id, accepted.joined) == (run.run_id, False)
    record = await ledger.record(run.run_id)
    assert record is not None
    assert (record.run, record.state, record.attempt, record.tries) == (run, State.QUEUED, 0, 0)
    assert record.queued_until_ms == record.queued_ms + BOUNDS.queue_timeout_ms


async def test_a_run_that_was_never_accepted_has_no_record(ledger: Ledger) -> None:
    assert await ledger.record("chatcmpl_none") is None


async def test_asking_again_after_a_lost_answer_accepts_the_run_once(ledger: Ledger, look: Look) -> None:
    run = a_run()
    first, again = await submit(ledger, run), await submit(ledger, run)
    assert first == again
    assert members(look, KEYS.queue) == lane(look, run) == [run.run_id]
    assert look.llen(KEYS.bell("main")) == 1


async def test_asking_again_changes_nothing_about_a_run_that_has_begun_or_ended(ledger: Ledger) -> None:
    run = a_run()
    claimed = await running(ledger, run)
    assert (await submit(ledger, run)).run_id == run.run_id
    assert await claim(ledger, "w2") == []
    await ledger.settle(claimed, DONE)
    assert (await submit(ledger, run)).run_id == run.run_id
    assert await state_of(ledger, run.run_id) is State.COMPLETED
    assert await claim(ledger, "w2") == []


@pytest.mark.parametrize("key", [None, "a key"])
async def test_the_same_request_again_joins_the_run_it_made(ledger: Ledger, look: Look, key: str | None) -> None:
    first, again = a_run(), a_run()
    await submit(ledger, first, once=RequestIdentity("digest", key))
    accepted = await submit(ledger, again, once=RequestIdentity("digest", key, join=True))
    assert (accepted.run_id, accepted.joined) == (first.run_id, True)
    assert await ledger.record(again.run_id) is None
    assert members(look, KEYS.queue) == [first.run_id]


async def test_a_finished_run_is_joined_too(ledger: Ledger) -> None:
    first = a_run()
    await submit(ledger, first, once=RequestIdentity("digest", "key"))
    await ledger.settle(await claim_one(ledger), DONE)
    assert (await submit(ledger, a_run(), once=RequestIdentity("digest", "key"))).run_id == first.run_id


async def test_without_a_key_a_first_try_joins_nothing(ledger: Ledger) -> None:
    """Two people may send equal questions at the same time."""
    await submit(ledger, a_run(), once=RequestIdentity("digest"))
    assert not (await submit(ledger, a_run(), once=RequestIdentity("digest"))).joined


async def test_a_retry_joins_the_newest_run_with_its_body(ledger: Ledger) -> None:
    await submit(ledger, a_run(), once=RequestIdentity("digest"))
    newest = a_run()
    await submit(ledger, newest, once=RequestIdentity("digest"))
    assert (await submit(ledger, a_run(), once=RequestIdentity("digest", join=True))).run_id == newest.run_id


async def test_a_first_try_that_its_own_retry_has_overtaken_joins_it_once(ledger: Ledger) -> None:
    """The API process that took the first try was paused, the client gave up on it, and another process took the
    retry."""
    retry = a_run()
    for run in (retry, a_run()):  # two retries: the second one joins the run of the first
        await submit(ledger, run, once=RequestIdentity("digest", join=True, counted=True))
    first = a_run()
    for _ in range(2):  # its answer was lost, so the API repeats it
        assert (await submit(ledger, first, once=FIRST)).run_id == retry.run_id
    assert not (await submit(ledger, a_run(), once=FIRST)).joined


async def test_who_does_not_count_tries_has_not_been_overtaken(ledger: Ledger) -> None:
    retry = a_run()
    await submit(ledger, retry, once=RequestIdentity("digest", join=True, counted=True))
    assert not (await submit(ledger, a_run(), once=RequestIdentity("digest"))).joined


async def test_a_retry_that_makes_a_run_of_its_own_can_overtake_again(ledger: Ledger, look: Look) -> None:
    """The run before is gone, so this retry's first try is a new one."""
    for _ in range(2):
        retry = a_run()
        await submit(ledger, retry, once=RequestIdentity("digest", join=True, counted=True))
        assert (await submit(ledger, a_run(), once=FIRST)).run_id == retry.run_id
        assert not (await submit(ledger, retry, once=RequestIdentity("digest", join=True, counted=True))).joined
        forget(look, retry.run_id)


@pytest.mark.parametrize(
    ("owner", "once"),
    [
        ("alice", RequestIdentity("other", join=True)),
        ("bob", RequestIdentity("digest", join=True)),
        ("alice", RequestIdentity("digest", "another key")),
    ],
)
async def test_other_requests_and_other_owners_join_nothing(ledger: Ledger, owner: str, once: RequestIdentity) -> None:
    await submit(ledger, a_run(), once=RequestIdentity("digest"))
    assert not (await submit(ledger, a_run(owner=owner), once=once)).joined


async def test_a_key_with_another_body_is_refused(ledger: Ledger) -> None:
    await submit(ledger, a_run(), once=RequestIdentity("digest", "key"))
    refused = a_run()
    with pytest.raises(KeyReused):
        await submit(ledger, refused, once=RequestIdentity("other", "key"))
    assert await ledger.record(refused.run_id) is None


async def test_two_owners_may_use_the_same_key(ledger: Ledger) -> None:
    await submit(ledger, a_run(), once=RequestIdentity("digest", "key"))
    assert not (await submit(ledger, a_run(owner="bob"), once=RequestIdentity("other", "key"))).joined


async def test_a_key_whose_run_is_forgotten_makes_a_new_run(ledger: Ledger, look: Look) -> None:
    first, second = a_run(), a_run()
    await submit(ledger, first, once=RequestIdentity("digest", "key"))
    forget(look, first.run_id)
    assert not (await submit(ledger, second, once=RequestIdentity("digest", "key"))).joined


async def test_a_session_belongs_to_the_credential_that_first_used_it(ledger: Ledger, look: Look) -> None:
    first, other = a_run("s"), a_run("s", owner="bob")
    await ledger.settle(await running(ledger, first), DONE)
    with pytest.raises(SessionTaken):
        await submit(ledger, other)
    assert await ledger.record(other.run_id) is None
    assert lane(look, other) == members(look, KEYS.queue) == []
    assert not (await submit(ledger, a_run("s"))).joined


async def test_a_session_takes_so_many_waiting_runs_and_no_more(ledger: Ledger) -> None:
    bounds = replace(BOUNDS, max_waiting_per_session=2)
    runs = [a_run("s") for _ in range(4)]
    await running(ledger, runs[0])
    for run in runs[1:3]:
        await submit(ledger, run, bounds=bounds)
    with pytest.raises(QueueFull) as full:
        await submit(ledger, runs[3], bounds=bounds)
    assert full.value.scope == "session"
    assert await ledger.record(runs[3].run_id) is None
    assert not (await submit(ledger, a_run("t"), bounds=bounds)).joined


async def test_runs_that_were_lost_do_not_fill_a_session(ledger: Ledger, look: Look) -> None:
    bounds = replace(BOUNDS, max_waiting_per_session=1)
    lost = [a_run("s") for _ in range(2)]
    for run in lost:
        await submit(ledger, run, bounds=bounds)
        forget(look, run.run_id)
    run = a_run("s")
    await submit(ledger, run, bounds=bounds)
    assert lane(look, run) == [run.run_id]


async def test_so_many_runs_wait_in_all_and_no_more(ledger: Ledger) -> None:
    bounds = replace(BOUNDS, max_waiting=2)
    await running(ledger)  # a running run does not count as waiting
    await submit(ledger, a_run("s"), bounds=bounds)
    await submit(ledger, a_run("s"), bounds=bounds)  # a run that waits for its session counts too
    with pytest.raises(QueueFull) as full:
        await submit(ledger, a_run(), bounds=bounds)
    assert full.value.scope == "total"


async def test_a_full_queue_does_not_refuse_what_it_has_accepted(ledger: Ledger) -> None:
    """The answer to the first try may have been lost."""
    run, bounds = a_run(), replace(BOUNDS, max_waiting=1)
    await submit(ledger, run, bounds=bounds)
    assert (await submit(ledger, run, bounds=bounds)).run_id == run.run_id


async def test_a_bell_keeps_a_bounded_number_of_tokens(ledger: Ledger, look: Look) -> None:
    await asyncio.gather(*(submit(ledger, a_run(), bell="main") for _ in range(BELL_LENGTH + 10)))
    assert look.llen(KEYS.bell("main")) == BELL_LENGTH


@pytest.mark.parametrize("text", ['"', "\\", "\n", "\u2028", "🙂", "]]--", "{}", "\x00"])
async def test_any_text_survives(ledger: Ledger, text: str) -> None:
    """Scripts get the text as JSON, and Lua and cjson treat some characters in ways of their own."""
    run = a_run(message=text, session_key=f"s{text}", agent_id="main", extra_system_prompt=text * 3)
    await submit(ledger, run, once=RequestIdentity(text, text))
    claimed = await claim_one(ledger)
    assert claimed.run == run
    await ledger.settle(claimed, End(state=State.FAILED, text=text, code=text))
    record = await ledger.record(run.run_id)
    assert record is not None
    assert (record.run, record.code) == (run, text)


# --- claim ------------------------------------------------------------------------------------------------------------


async def test_a_claimed_run_is_its_owners_alone(ledger: Ledger, other: Ledger) -> None:
    run = a_run()
    await submit(ledger, run)
    claimed = await claim_one(ledger)
    assert (claimed.run, claimed.attempt, claimed.tries, claimed.lost, claimed.cancel) == (run, 1, 1, False, None)
    assert await claim(other, "w2") == []
    assert await claim(ledger) == []
    record = await ledger.record(run.run_id)
    assert record is not None
    assert (record.state, record.worker) == (State.RUNNING, "w1")


@pytest.mark.slow
async def test_first_in_first_out_within_a_millisecond(ledger: Ledger, redis: object) -> None:
    """One batch carries all of these runs, so many of them share a millisecond of Redis's clock."""
    runs = [a_run() for _ in range(500)]
    one_connection = Pipe(ledger._pipe.redis, connections=1)  # two connections may overtake each other
    await asyncio.gather(*(submit(Ledger(one_connection, KEYS), run) for run in runs))
    claimed = []
    while batch := await claim(ledger, most=50):
        claimed += ids(batch)
    assert claimed == [run.run_id for run in runs]


async def test_a_worker_gets_no_more_than_it_asks_for(ledger: Ledger) -> None:
    for _ in range(3):
        await submit(ledger, a_run())
    assert [len(await claim(ledger, most=2)) for _ in range(3)] == [2, 1, 0]


async def test_two_workers_never_get_the_same_run(ledger: Ledger, other: Ledger) -> None:
    runs = [a_run() for _ in range(60)]
    await asyncio.gather(*(submit(ledger, run) for run in runs))
    workers = [(ledger, "w1"), (other, "w2")] * 6
    claims = await asyncio.gather(*(claim(process, name, most=7) for process, name in workers))
    claimed = [run_id for some in claims for run_id in ids(some)]
    assert sorted(claimed) == sorted(run.run_id for run in runs)


async def test_a_worker_gets_runs_of_the_agents_it_serves(ledger: Ledger) -> None:
    mine, others = a_run(agent_id="mine"), a_run(agent_id="others")
    await submit(ledger, others)
    await submit(ledger, mine)
    claimed = await ledger.claim("w1", serves={"mine": Policy()}, lease_ms=LEASE_MS, most=10)
    assert ids(claimed) == [mine.run_id]
    assert ids(await claim(ledger, "w2")) == [others.run_id]


async def test_an_agents_policy_comes_with_the_claim(ledger: Ledger) -> None:
    await submit(ledger, a_run(agent_id="named"))
    await submit(ledger, a_run(agent_id="any"))
    named, any_other = Policy(on_worker_lost="fail"), Policy(max_attempts=7)
    claims = await ledger.claim("w1", serves={"named": named, "*": any_other}, lease_ms=LEASE_MS, most=2)
    assert [claimed.policy for claimed in claims] == [named, any_other]


async def test_runs_that_nobody_serves_do_not_hide_those_behind_them(ledger: Ledger) -> None:
    await asyncio.gather(*(submit(ledger, a_run(agent_id="unserved")) for _ in range(250)))
    run = a_run(agent_id="mine")
    await submit(ledger, run)
    claimed = await ledger.claim("w1", serves={"mine": Policy()}, lease_ms=LEASE_MS, most=10)
    assert ids(claimed) == [run.run_id]
    assert len(await claim(ledger, most=1000)) == 250


async def test_a_claim_of_nothing_that_is_served_changes_nothing(ledger: Ledger, look: Look) -> None:
    run = a_run()
    await submit(ledger, run)
    assert await ledger.claim("w1", serves={"other": Policy()}, lease_ms=LEASE_MS, most=10) == []
    record = await ledger.record(run.run_id)
    assert record is not None
    assert (record.state, record.attempt) == (State.QUEUED, 0)


async def test_a_run_of_a_newer_release_is_left_alone(ledger: Ledger, look: Look) -> None:
    newer, run = a_run(), a_run()
    await submit(ledger, newer)
    look.hset(KEYS.run(newer.run_id), "v", CONTRACT + 1)
    await submit(ledger, run)
    assert ids(await claim(ledger)) == [run.run_id]
    end_patience(look, newer.run_id)
    assert await ledger.take(newer.run_id, "api", lease_ms=LEASE_MS) is None
    assert await state_of(ledger, newer.run_id) is State.QUEUED


async def test_a_lost_run_of_a_newer_release_is_left_alone(ledger: Ledger, look: Look) -> None:
    claimed = await running(ledger)
    look.hset(KEYS.run(claimed.run.run_id), "v", CONTRACT + 1)
    end_lease(look, claimed.run.run_id)
    assert await claim(ledger, "w2") == []
    assert await ledger.take(claimed.run.run_id, "api", lease_ms=LEASE_MS) is None


async def test_jobs_without_a_run_are_dropped(ledger: Ledger, look: Look) -> None:
    """An operator has used arq's own `enqueue_job`, or Redis has lost the record."""
    look.zadd(KEYS.queue, {"phantom": 1})
    look.set(NAMES["job"] + "phantom", "{}", px=60_000)
    run = a_run()
    await submit(ledger, run)
    assert ids(await claim(ledger)) == [run.run_id]
    assert await overdue(ledger) == []
    assert look.zscore(KEYS.queue, "phantom") is None
    assert not look.exists(NAMES["job"] + "phantom")


async def test_a_lease_without_a_run_is_dropped(ledger: Ledger, look: Look) -> None:
    claimed = await running(ledger)
    forget(look, claimed.run.run_id)
    end_lease(look, claimed.run.run_id)
    assert await claim(ledger, "w2") == []
    assert members(look, KEYS.leases) == []


async def test_an_ended_run_that_stands_in_the_queue_is_dropped(ledger: Ledger, look: Look) -> None:
    claimed = await running(ledger)
    await ledger.settle(claimed, DONE)
    look.zadd(KEYS.queue, {claimed.run.run_id: 1})
    assert await claim(ledger) == []
    assert await overdue(ledger) == []
    assert members(look, KEYS.queue) == []
    assert await state_of(ledger, claimed.run.run_id) is State.COMPLETED


# --- leases -----------------------------------------------------------------------------------------------------------


async def test_a_lost_run_goes_to_the_next_worker_before_those_that_wait(ledger: Ledger, look: Look) -> None:
    lost = await running(ledger)
    await submit(ledger, a_run())
    end_lease(look, lost.run.run_id)
    again = await claim_one(ledger, "w2")
    assert (again.run, again.attempt, again.tries, again.lost) == (lost.run, 2, 2, True)
    assert again.token != lost.token


async def test_a_lease_that_nobody_could_renew_is_not_over(ledger: Ledger, look: Look) -> None:
    """Redis was away, so no owner could renew. The first worker that claims afterwards must not get the others'
    runs."""
    claimed = await running(ledger)
    end_lease(look, claimed.run.run_id)
    look.hincrby(KEYS.prefixes()["watch"], "at", -LEASE_MS)
    assert await claim(ledger, "w2") == []
    renewals = await ledger.renew({claimed.run.run_id: claimed.token}, lease_ms=LEASE_MS)
    assert renewals[claimed.run.run_id].held


async def test_a_lease_is_over_for_an_owner_that_stays_away(ledger: Ledger, look: Look) -> None:
    claimed = await running(ledger)
    look.hincrby(KEYS.prefixes()["watch"], "at", -LEASE_MS)
    assert await claim(ledger, "w2") == []
    end_lease(look, claimed.run.run_id)
    assert [one.lost for one in await claim(ledger, "w2")] == [True]


async def test_the_janitor_is_no_quicker_when_redis_was_away(ledger: Ledger, look: Look) -> None:
    claimed = await running(ledger)
    end_lease(look, claimed.run.run_id)
    look.hincrby(KEYS.prefixes()["watch"], "at", -LEASE_MS)
    assert await overdue(ledger, lost_for_ms=0) == []


async def test_a_run_is_not_lost_while_its_lock_stands(ledger: Ledger, look: Look) -> None:
    claimed = await running(ledger)
    look.zadd(KEYS.leases, {claimed.run.run_id: 0})
    assert await claim(ledger, "w2") == []


async def test_leases_end_by_themselves(ledger: Ledger) -> None:
    """Only in this test must time pass; it does not matter how much."""
    await submit(ledger, a_run())
    await ledger.claim("w1", serves={"*": Policy()}, lease_ms=1, most=1)
    claims: list[Claim] = []
    while not claims:
        claims = await claim(ledger, "w2")
    assert claims[0].lost


async def test_a_lease_that_was_given_back_is_over_at_once(ledger: Ledger, look: Look) -> None:
    own, taken_over = await running(ledger), await running(ledger)
    end_lease(look, taken_over.run.run_id)
    (later,) = await claim(ledger, "w2")
    look.delete(KEYS.bell("main"))
    gone = {own.run.run_id: own.token, taken_over.run.run_id: taken_over.token, "no run": "w1/1"}
    assert await ledger.forfeit(gone) == 1
    assert look.llen(KEYS.bell("main")) == 1
    assert await overdue(ledger) == [own.run.run_id]
    assert ids(await claim(ledger, "w3")) == [own.run.run_id]
    assert (await ledger.renew({later.run.run_id: later.token}, lease_ms=LEASE_MS))[later.run.run_id].held


async def test_a_renewed_lease_is_held(ledger: Ledger, look: Look) -> None:
    claimed = await running(ledger)
    run_id = claimed.run.run_id
    look.zadd(KEYS.leases, {run_id: 0})
    assert await ledger.renew({run_id: claimed.token}, lease_ms=LEASE_MS) == {run_id: Renewal(held=True)}
    assert look.zscore(KEYS.leases, run_id)


async def test_a_lease_that_ran_out_is_taken_again_by_its_owner(ledger: Ledger, look: Look) -> None:
    claimed = await running(ledger)
    run_id = claimed.run.run_id
    end_lease(look, run_id)
    assert (await ledger.renew({run_id: claimed.token}, lease_ms=LEASE_MS))[run_id].held
    assert await claim(ledger, "w2") == []


async def test_each_of_many_leases_gets_its_own_answer(ledger: Ledger, look: Look) -> None:
    held, stopped, lost, ended, gone = [await running(ledger) for _ in range(5)]
    await ledger.cancel(stopped.run.run_id, StopReason.USER)
    end_lease(look, lost.run.run_id)
    await claim_one(ledger, "w2")
    await ledger.settle(ended, DONE)
    forget(look, gone.run.run_id)
    leases = {one.run.run_id: one.token for one in (gone, ended, lost, stopped, held)}
    assert await ledger.renew(leases, lease_ms=LEASE_MS) == {
        gone.run.run_id: Renewal(held=False),
        ended.run.run_id: Renewal(held=False, done=True),
        lost.run.run_id: Renewal(held=False),
        stopped.run.run_id: Renewal(held=True, cancel=StopReason.USER),
        held.run.run_id: Renewal(held=True),
    }


async def test_renewing_nothing_is_fine(ledger: Ledger) -> None:
    assert await ledger.renew({}, lease_ms=LEASE_MS) == {}


async def test_an_owner_that_lost_its_lease_can_do_nothing(ledger: Ledger, look: Look) -> None:
    stale = await running(ledger)
    run_id = stale.run.run_id
    end_lease(look, run_id)
    fresh = await claim_one(ledger, "w1")  # the same process, after a pause
    assert not (await ledger.renew({run_id: stale.token}, lease_ms=LEASE_MS))[run_id].held
    assert not await ledger.release(run_id, stale.token, spend=True)
    assert not await ledger.settle(stale, DONE)
    record = await ledger.record(run_id)
    assert record is not None
    assert (record.state, record.attempt) == (State.RUNNING, 2)
    assert (await ledger.renew({run_id: fresh.token}, lease_ms=LEASE_MS))[run_id].held
    assert await ledger.settle(fresh, DONE)


async def test_an_owner_that_handed_its_run_back_can_do_nothing(ledger: Ledger) -> None:
    claimed = await running(ledger)
    run_id = claimed.run.run_id
    await ledger.release(run_id, claimed.token, spend=False)
    assert not (await ledger.renew({run_id: claimed.token}, lease_ms=LEASE_MS))[run_id].held
    assert not await ledger.settle(claimed, DONE)
    assert await state_of(ledger, run_id) is State.QUEUED


# --- release ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("spend", "tries"), [(True, 2), (False, 1)])
async def test_a_released_run_may_be_claimed_again(ledger: Ledger, spend: bool, tries: int) -> None:
    claimed = await running(ledger)
    assert await ledger.release(claimed.run.run_id, claimed.token, spend=spend)
    again = await claim_one(ledger, "w2")
    assert (again.attempt, again.tries, again.lost) == (2, tries, False)


async def test_releasing_again_after_a_lost_answer_gives_back_one_try(ledger: Ledger, look: Look) -> None:
    claimed = await running(ledger)
    assert await ledger.release(claimed.run.run_id, claimed.token, spend=False)
    assert not await ledger.release(claimed.run.run_id, claimed.token, spend=False)
    assert look.hget(KEYS.run(claimed.run.run_id), "tries") == b"0"
    assert members(look, KEYS.queue) == [claimed.run.run_id]


async def test_a_released_run_keeps_its_turn(ledger: Ledger) -> None:
    first, second = a_run("s"), a_run("s")
    claimed = await running(ledger, first)
    await submit(ledger, second)
    await ledger.release(first.run_id, claimed.token, spend=False)
    assert ids(await claim(ledger)) == [first.run_id]


async def test_a_released_run_rings_and_gets_new_patience(ledger: Ledger, look: Look) -> None:
    claimed = await running(ledger)
    look.delete(KEYS.bell("main"))
    end_patience(look, claimed.run.run_id)
    await ledger.release(claimed.run.run_id, claimed.token, spend=False)
    assert look.llen(KEYS.bell("main")) == 1
    again = await claim_one(ledger)
    assert again.begun


# --- settle -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "end", [DONE, End(state=State.FAILED, code="agent_failed"), End(state=State.CANCELLED, reason=StopReason.USER)]
)
async def test_a_settled_run_has_ended(ledger: Ledger, look: Look, end: End) -> None:
    claimed = await running(ledger)
    assert await ledger.settle(claimed, end)
    record = await ledger.record(claimed.run.run_id)
    assert record is not None
    assert (record.state, record.code) == (end.state, end.code)
    assert record.queued_ms <= record.started_ms <= record.ended_ms
    assert members(look, KEYS.queue) == members(look, KEYS.leases) == lane(look, claimed.run) == []
    assert not look.exists(NAMES["lock"] + claimed.run.run_id, NAMES["job"] + claimed.run.run_id)


async def test_settling_again_after_a_lost_answer_changes_nothing(ledger: Ledger) -> None:
    claimed = await running(ledger, a_run("s", keeps_transcript=True))
    assert await ledger.settle(claimed, DONE)
    before = await ledger.record(claimed.run.run_id)
    assert await ledger.settle(claimed, End(state=State.FAILED, code="other"))
    assert await ledger.record(claimed.run.run_id) == before
    assert len(await ledger.transcript("s")) == 2


async def test_a_run_without_a_record_cannot_be_settled(ledger: Ledger, look: Look) -> None:
    claimed = await running(ledger)
    forget(look, claimed.run.run_id)
    assert not await ledger.settle(claimed, DONE)
    assert await ledger.record(claimed.run.run_id) is None


# --- sessions ---------------------------------------------------------------------------------------------------------


async def test_one_run_of_a_session_at_a_time_in_order_over_all_submitters(ledger: Ledger, other: Ledger) -> None:
    runs = [a_run("s") for _ in range(6)]
    for number, run in enumerate(runs):
        await submit((ledger, other)[number % 2], run)
    for number, run in enumerate(runs):
        (claimed,) = await claim((ledger, other)[number % 2], f"w{number}")
        assert claimed.run == run
        assert await claim(other, "another worker") == []
        await ledger.settle(claimed, DONE)
    assert await claim(ledger) == []


async def test_a_waiting_run_of_a_busy_session_holds_up_no_other_session(ledger: Ledger) -> None:
    await running(ledger, a_run("s"))
    await submit(ledger, a_run("s"))
    free = a_run("t")
    await submit(ledger, free)
    assert ids(await claim(ledger)) == [free.run_id]


async def test_the_next_of_a_session_rings_and_its_patience_begins_with_its_turn(ledger: Ledger, look: Look) -> None:
    claimed = await running(ledger, a_run("s"))
    waiting = a_run("s")
    await submit(ledger, waiting)
    record = await ledger.record(waiting.run_id)
    assert record is not None
    assert record.queued_until_ms == 0
    look.delete(KEYS.bell("main"))
    await ledger.settle(claimed, DONE)
    assert look.llen(KEYS.bell("main")) == 1
    record = await ledger.record(waiting.run_id)
    assert record is not None
    assert record.queued_until_ms > 0


async def test_a_lane_check_does_not_let_a_run_jump_its_session(ledger: Ledger, look: Look) -> None:
    claimed = await running(ledger, a_run("s"))
    waiting = a_run("s")
    await submit(ledger, waiting)
    end_lane_check(look, waiting.run_id)
    assert await claim(ledger, "w2") == []
    assert (look.zscore(KEYS.queue, waiting.run_id) or 0) > claimed.now_ms  # its next lane check comes later


async def test_a_lane_is_repaired_when_its_holder_has_vanished(ledger: Ledger, look: Look) -> None:
    runs = [a_run("s") for _ in range(3)]
    await running(ledger, runs[0])
    await submit(ledger, runs[1])
    await submit(ledger, runs[2])
    forget(look, runs[0].run_id)
    for run in runs[1:]:
        end_lane_check(look, run.run_id)
    (claimed,) = await claim(ledger, "w2")
    assert claimed.run == runs[1]
    assert lane(look, runs[1]) == [runs[1].run_id, runs[2].run_id]
    await ledger.settle(claimed, DONE)
    assert ids(await claim(ledger)) == [runs[2].run_id]


async def test_a_new_run_repairs_the_lane_it_enters(ledger: Ledger, look: Look) -> None:
    holder, run = a_run("s"), a_run("s")
    await running(ledger, holder)
    forget(look, holder.run_id)
    await submit(ledger, run)
    assert ids(await claim(ledger)) == [run.run_id]


async def test_a_run_that_vanished_in_mid_lane_is_passed_over(ledger: Ledger, look: Look) -> None:
    runs = [a_run("s") for _ in range(3)]
    claimed = await running(ledger, runs[0])
    await submit(ledger, runs[1])
    await submit(ledger, runs[2])
    forget(look, runs[1].run_id)
    await ledger.settle(claimed, DONE)
    assert ids(await claim(ledger)) == [runs[2].run_id]


# --- begin ------------------------------------------------------------------------------------------------------------


async def test_an_attempt_begins_with_its_claim_and_a_run_starts_when_the_first_one_does(
    ledger: Ledger, look: Look
) -> None:
    first = await running(ledger)
    started = (await begun(ledger, first))[2]
    assert started > 0
    assert await begun(ledger, first) == (1, 1, started)
    look.hset(KEYS.run(first.run.run_id), "started", started - 1)  # so that a second start would show
    await ledger.release(first.run.run_id, first.token, spend=True)
    assert await begun(ledger, await claim_one(ledger)) == (2, 2, started - 1)


async def test_a_claim_that_is_there_to_end_the_run_starts_nothing(ledger: Ledger, look: Look) -> None:
    cancelled, late = a_run(), a_run()
    for run in (cancelled, late):
        await submit(ledger, run)
    await ledger.cancel(cancelled.run_id, StopReason.USER)
    end_patience(look, late.run_id)
    for claimed in await claim(ledger):
        assert await begun(ledger, claimed) == (1, 0, 0)
        await ledger.settle(claimed, End(state=State.CANCELLED, reason=StopReason.USER))
        assert await begun(ledger, claimed) == (1, 0, 0)


async def test_whether_an_attempt_at_a_lost_run_begins_its_log_says(ledger: Ledger, look: Look) -> None:
    first = await running(ledger)
    started = (await begun(ledger, first))[2]
    end_lease(look, first.run.run_id)
    (second,) = await claim(ledger, "w2")
    assert await begun(ledger, second) == (2, 1, started)
    assert not await ledger.begin(first)
    assert await ledger.begin(second)
    assert await begun(ledger, second) == (2, 2, started)


async def begun(ledger: Ledger, claimed: Claim) -> tuple[int, int, int]:
    record = await ledger.record(claimed.run.run_id)
    assert record is not None
    return record.attempt, record.begun, record.started_ms


# --- transcripts ------------------------------------------------------------------------------------------------------


async def test_a_named_session_remembers_its_turns(ledger: Ledger) -> None:
    for text in ("one", "two"):
        claimed = await running(ledger, a_run("s", message=text, keeps_transcript=True))
        await ledger.settle(claimed, End(state=State.COMPLETED, text=text.upper()))
    assert await ledger.transcript("s") == (
        Turn(role="user", content="one"),
        Turn(role="assistant", content="ONE"),
        Turn(role="user", content="two"),
        Turn(role="assistant", content="TWO"),
    )


@pytest.mark.parametrize(
    ("keeps", "end"), [(False, DONE), (True, End(state=State.FAILED, text="Half an ans", code="worker_lost"))]
)
async def test_nothing_is_remembered_of_unnamed_sessions_and_of_failures(ledger: Ledger, keeps: bool, end: End) -> None:
    await ledger.settle(await running(ledger, a_run("s", keeps_transcript=keeps)), end)
    assert await ledger.transcript("s") == ()


async def test_a_transcript_forgets_its_oldest_turns_beyond_its_length(ledger: Ledger, look: Look) -> None:
    old = [Turn(role="user", content=str(n)).model_dump_json() for n in range(TRANSCRIPT_TURNS)]
    look.rpush(NAMES["transcript"] + "s", *old)
    await ledger.settle(await running(ledger, a_run("s", message="new", keeps_transcript=True)), DONE)
    turns = await ledger.transcript("s")
    assert (len(turns), turns[0].content, turns[-2].content) == (TRANSCRIPT_TURNS, "2", "new")


async def test_a_transcript_forgets_its_oldest_turns_beyond_its_bytes(ledger: Ledger, look: Look) -> None:
    large = "x" * (TRANSCRIPT_BYTES // 3)
    for text in ("one", "two", "three"):
        claimed = await running(ledger, a_run("s", message=text, keeps_transcript=True))
        await ledger.settle(claimed, End(state=State.COMPLETED, text=large))
    turns = await ledger.transcript("s")
    assert [turn.content for turn in turns[::2]] == ["two", "three"]


async def test_the_last_exchange_is_remembered_however_large(ledger: Ledger) -> None:
    claimed = await running(ledger, a_run("s", keeps_transcript=True))
    await ledger.settle(claimed, End(state=State.COMPLETED, text="x" * (TRANSCRIPT_BYTES + 1)))
    assert len(await ledger.transcript("s")) == 2


CALL = ToolCall(id="c1", name="f", arguments="{}")
RESULT = Turn(role="tool", content="Rain", tool_call_id="c1")


def picture(size: int) -> Turn:
    part = Part(type="image_url", value={"url": "data:image/png;base64," + "A" * size})
    return Turn(role="user", content="What is this?", parts=(part,))


async def exchange(ledger: Ledger, *current: Turn, text: str = "", calls: tuple[ToolCall, ...] = ()) -> None:
    claimed = await running(ledger, a_run("s", current=current, keeps_transcript=True))
    await ledger.settle(claimed, End(state=State.COMPLETED, text=text, tool_calls=calls))


async def test_a_session_remembers_what_was_called_and_what_came_of_it(ledger: Ledger) -> None:
    await exchange(ledger, picture(1), calls=(CALL,))
    await exchange(ledger, RESULT, Turn(role="user", content="Quick."), text="It rains.")
    assert await ledger.transcript("s") == (
        picture(1),
        Turn(role="assistant", content="", tool_calls=(CALL,)),
        RESULT,
        Turn(role="user", content="Quick."),
        Turn(role="assistant", content="It rains."),
    )


async def test_of_a_large_picture_a_session_remembers_the_words(ledger: Ledger) -> None:
    await exchange(ledger, picture(PARTS_BYTES), text="A cat.")
    first, _ = await ledger.transcript("s")
    assert first == Turn(role="user", content="What is this?")


async def test_a_transcript_does_not_begin_with_the_results_of_calls_it_has_forgotten(ledger: Ledger) -> None:
    large = "x" * (TRANSCRIPT_BYTES // 3)
    await exchange(ledger, Turn(role="user", content="one"), text=large, calls=(CALL,))
    await exchange(ledger, RESULT, text=large)
    await exchange(ledger, Turn(role="user", content="two"), text=large)
    assert [turn.content for turn in await ledger.transcript("s")] == ["two", large]


# --- conversations ----------------------------------------------------------------------------------------------------

OWN = StoredConversation(id="c1", agent_id="main", place="here", system="")


async def ended(ledger: Ledger, message: str, end: End) -> None:
    claimed = await running(ledger, a_run("s", message=message, keeps_transcript=True))
    assert await ledger.settle(claimed, end)


async def taken(ledger: Ledger) -> StoredConversation | None:
    return await ledger.take_conversation("s", await ledger.transcript("s"))


async def test_an_agents_own_conversation_is_kept_beside_the_transcript_and_taken_once(ledger: Ledger) -> None:
    await ended(ledger, "one", DONE.model_copy(update={"conversation": OWN}))
    own = await taken(ledger)
    assert own is not None
    assert own.model_copy(update={"exchange": ""}) == OWN
    assert await taken(ledger) is None


async def test_a_turn_of_an_agent_that_keeps_none_puts_an_end_to_it(ledger: Ledger) -> None:
    await ended(ledger, "one", DONE.model_copy(update={"conversation": OWN}))
    await ended(ledger, "two", DONE)
    assert await taken(ledger) is None


async def test_a_turn_that_was_added_by_an_earlier_release_puts_an_end_to_it(ledger: Ledger, look: Look) -> None:
    """The script of the earlier release leaves the conversation unchanged."""
    await ended(ledger, "one", DONE.model_copy(update={"conversation": OWN}))
    look.rpush(NAMES["transcript"] + "s", *(Turn(role="user", content="two").model_dump_json() for _ in range(2)))
    assert await taken(ledger) is None


async def test_a_conversation_without_its_transcript_is_none(ledger: Ledger, look: Look) -> None:
    await ended(ledger, "one", DONE.model_copy(update={"conversation": OWN}))
    look.delete(NAMES["transcript"] + "s")
    assert await taken(ledger) is None


# --- cancel -----------------------------------------------------------------------------------------------------------


async def test_the_first_reason_to_stop_stays(ledger: Ledger) -> None:
    claimed = await running(ledger)
    run_id = claimed.run.run_id
    assert await ledger.cancel(run_id, StopReason.USER) is State.RUNNING
    assert await ledger.cancel(run_id, StopReason.DISCONNECT) is State.RUNNING
    record = await ledger.record(run_id)
    assert record is not None
    assert record.cancel is StopReason.USER


async def test_a_run_that_has_ended_cannot_be_cancelled(ledger: Ledger) -> None:
    claimed = await running(ledger)
    await ledger.settle(claimed, DONE)
    assert await ledger.cancel(claimed.run.run_id, StopReason.USER) is State.COMPLETED
    record = await ledger.record(claimed.run.run_id)
    assert record is not None
    assert record.cancel is None


async def test_there_may_be_no_run_to_cancel(ledger: Ledger, look: Look) -> None:
    assert await ledger.cancel("chatcmpl_none", StopReason.USER) is None
    assert look.dbsize() == 0


async def test_whoever_claims_a_cancelled_run_is_told(ledger: Ledger, look: Look) -> None:
    waiting, lost = a_run(), await running(ledger)
    await submit(ledger, waiting)
    end_lease(look, lost.run.run_id)
    for run_id in (waiting.run_id, lost.run.run_id):
        await ledger.cancel(run_id, StopReason.USER)
    assert [one.cancel for one in await claim(ledger, "w2")] == [StopReason.USER, StopReason.USER]


# --- take, overdue ----------------------------------------------------------------------------------------------------


async def test_a_run_that_may_wait_on_cannot_be_taken(ledger: Ledger) -> None:
    run = a_run()
    await submit(ledger, run)
    assert await ledger.take(run.run_id, "api", lease_ms=LEASE_MS) is None
    claimed = await claim_one(ledger)
    assert await ledger.take(run.run_id, "api", lease_ms=LEASE_MS) is None
    await ledger.settle(claimed, DONE)
    assert await ledger.take(run.run_id, "api", lease_ms=LEASE_MS) is None


async def test_there_may_be_no_run_to_take(ledger: Ledger) -> None:
    assert await ledger.take("chatcmpl_none", "api", lease_ms=LEASE_MS) is None


async def test_a_cancelled_run_that_waits_can_be_taken_once(ledger: Ledger) -> None:
    run = a_run()
    await submit(ledger, run)
    await ledger.cancel(run.run_id, StopReason.USER)
    taken = await ledger.take(run.run_id, "api", lease_ms=LEASE_MS)
    assert taken is not None
    assert (taken.run, taken.cancel) == (run, StopReason.USER)
    assert await ledger.take(run.run_id, "other api", lease_ms=LEASE_MS) is None
    assert await claim(ledger) == []


async def test_a_cancelled_run_can_be_taken_before_its_turn(ledger: Ledger, look: Look) -> None:
    """The API only ends it, so it does not disturb the run at work."""
    runs = [a_run("s") for _ in range(3)]
    first = await running(ledger, runs[0])
    await submit(ledger, runs[1])
    await submit(ledger, runs[2])
    await ledger.cancel(runs[1].run_id, StopReason.USER)
    taken = await ledger.take(runs[1].run_id, "api", lease_ms=LEASE_MS)
    assert taken is not None
    await ledger.settle(taken, End(state=State.CANCELLED, reason=StopReason.USER))
    assert lane(look, runs[0]) == [runs[0].run_id, runs[2].run_id]
    assert await claim(ledger, "w2") == []  # the first still runs
    await ledger.settle(first, DONE)
    assert ids(await claim(ledger)) == [runs[2].run_id]


async def test_a_run_that_waited_too_long_can_be_taken(ledger: Ledger, look: Look) -> None:
    run = a_run(agent_id="served by no worker")
    await submit(ledger, run)
    end_patience(look, run.run_id)
    taken = await ledger.take(run.run_id, "api", lease_ms=LEASE_MS)
    assert taken is not None
    assert not taken.begun


async def test_a_lost_run_can_be_taken_and_keeps_the_policy_of_its_agent(ledger: Ledger, look: Look) -> None:
    policy = Policy(on_worker_lost="fail", max_attempts=5)
    run = a_run()
    await submit(ledger, run)
    await ledger.claim("w1", serves={"main": policy}, lease_ms=LEASE_MS, most=1)
    end_lease(look, run.run_id)
    taken = await ledger.take(run.run_id, "api", lease_ms=LEASE_MS)
    assert taken is not None
    assert (taken.lost, taken.policy) == (True, policy)


async def test_overdue_are_lost_runs_and_those_that_waited(ledger: Ledger, look: Look) -> None:
    lost, waited, held, fresh = await running(ledger), a_run(), await running(ledger), a_run()
    await submit(ledger, waited)
    await submit(ledger, fresh)
    end_lease(look, lost.run.run_id)
    end_patience(look, waited.run_id)
    found = await overdue(ledger)
    assert found == [lost.run.run_id, waited.run_id]
    assert held.run.run_id not in found
    assert await overdue(ledger) == [lost.run.run_id]  # the caller has some time to end the other one


async def test_a_lane_without_a_holder_is_repaired_when_no_worker_is_alive(ledger: Ledger, look: Look) -> None:
    """Otherwise its runs would wait for ever: their patience begins only with their turn."""
    holder, waiting = a_run("s"), a_run("s")
    await running(ledger, holder)
    await submit(ledger, waiting)
    forget(look, holder.run_id)
    end_lane_check(look, waiting.run_id)
    assert await overdue(ledger) == []
    assert await ledger.take(waiting.run_id, "api", lease_ms=LEASE_MS) is None
    record = await ledger.record(waiting.run_id)
    assert record is not None
    assert record.queued_until_ms > 0


async def test_a_run_in_a_busy_lane_is_kept_alive_when_no_worker_has_a_free_slot(ledger: Ledger, look: Look) -> None:
    waiting = a_run("s")
    await running(ledger, a_run("s"))
    await submit(ledger, waiting)
    end_lane_check(look, waiting.run_id)
    look.pexpire(KEYS.run(waiting.run_id), 1_000)
    assert await overdue(ledger) == []
    assert look.pttl(KEYS.run(waiting.run_id)) > 1_000
    assert await ledger.take(waiting.run_id, "api", lease_ms=LEASE_MS) is None


# --- run again by an operator -----------------------------------------------------------------------------------------


def again(of: Run, *, once: bool = False) -> Rerun:
    return Rerun(of.run_id, once, audit_entry(AuditAction.RETRY_RUN, of.run_id, who="olga"))


async def ended_run(ledger: Ledger) -> Run:
    one = await running(ledger)
    await ledger.settle(one, End(state=State.FAILED))
    return one.run


async def test_a_run_knows_as_which_it_was_run_again(ledger: Ledger, pipe: Pipe) -> None:
    first = await ended_run(ledger)
    second, third = a_run(again_of=first.run_id), a_run(again_of=first.run_id)
    for run in (second, third):
        accepted = await ledger.submit(
            run, bell="main", once=RequestIdentity(run.run_id), bounds=BOUNDS, again=again(first)
        )
        assert accepted == Accepted(run.run_id, joined=False)
    record = await ledger.record(first.run_id)
    assert record is not None
    assert record.again == third.run_id
    assert [noted.entry.target for noted in await Audit(pipe, KEYS).latest(9)] == [first.run_id] * 2


async def test_a_run_that_was_run_again_is_not_so_another_time_where_once_was_meant(ledger: Ledger, pipe: Pipe) -> None:
    first = await ended_run(ledger)
    second, third = a_run(), a_run()
    for run in (second, third):
        accepted = await ledger.submit(
            run, bell="main", once=RequestIdentity(run.run_id), bounds=BOUNDS, again=again(first, once=True)
        )
    assert accepted == Accepted(second.run_id, joined=True)
    assert await ledger.record(third.run_id) is None
    assert len(await Audit(pipe, KEYS).latest(9)) == 1


async def test_a_run_that_has_expired_leaves_no_trace_when_it_is_run_again(ledger: Ledger, look: Look) -> None:
    gone = a_run()
    await ledger.submit(a_run(), bell="main", once=ONCE, bounds=BOUNDS, again=again(gone))
    assert not look.exists(KEYS.run(gone.run_id))


async def test_a_refused_run_is_not_noted(ledger: Ledger, pipe: Pipe) -> None:
    first = await ended_run(ledger)
    full = replace(BOUNDS, max_waiting=1)
    await submit(ledger, a_run())
    with pytest.raises(QueueFull):
        await ledger.submit(a_run(), bell="main", once=ONCE, bounds=full, again=again(first))
    assert await Audit(pipe, KEYS).latest(9) == []


async def test_who_cancelled_is_noted_when_there_was_something_to_cancel(ledger: Ledger, pipe: Pipe) -> None:
    ended = await ended_run(ledger)
    await submit(ledger, waits := a_run())
    for run in (ended, waits):
        await ledger.cancel(
            run.run_id, StopReason.USER, note=audit_entry(AuditAction.CANCEL_RUN, run.run_id, who="olga")
        )
    await ledger.cancel(waits.run_id, StopReason.USER)  # a client, not an operator
    noted = [(one.entry.act, one.entry.target, one.entry.who) for one in await Audit(pipe, KEYS).latest(9)]
    assert noted == [("run.cancel", waits.run_id, "olga")]
