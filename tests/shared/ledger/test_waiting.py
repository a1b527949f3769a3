"""Where runs wait, and whose turn it is: scripts/waiting.lua, and the scripts that use it."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from shared.ledger.ledger import Claim, Ledger
from shared.ledger.run_index import RunIndex
from shared.redis.keys import LANE_CHECK_MS
from shared.redis.pipe import Pipe
from shared.run.run import Policy, Run
from shared.run.states import State
from tests.broker import KEYS, Look, RealBroker, looking, opened_client
from tests.runs import (
    DONE,
    LEASE_MS,
    a_run,
    claim,
    claim_one,
    end_lane_check,
    end_lease,
    forget,
    lane,
    members,
    running,
    submit,
)

NAMES = KEYS.prefixes()


async def submitted(ledger: Ledger, how_many: int, *, owner: str = "alice", agent: str = "main") -> list[str]:
    runs = [a_run(owner=owner, agent_id=agent) for _ in range(how_many)]
    for run in runs:
        await submit(ledger, run)
    return [run.run_id for run in runs]


async def claimed(ledger: Ledger, *agents: str, most: int = 10) -> list[str]:
    serves = dict.fromkeys(agents or ("*",), Policy())
    return ids(await ledger.claim("w1", serves=serves, lease_ms=LEASE_MS, most=most))


def ids(claims: list[Claim]) -> list[str]:
    return [one.run.run_id for one in claims]


# --- agents and owners in turn ----------------------------------------------------------------------------------------


async def test_an_agents_run_waits_for_no_other_agents_runs(ledger: Ledger) -> None:
    await submitted(ledger, 1_200, agent="slow")
    fast = await submitted(ledger, 1, agent="fast")
    assert await claimed(ledger, "fast") == fast


async def test_a_worker_serves_its_agents_in_turn(ledger: Ledger) -> None:
    slow = await submitted(ledger, 5, agent="slow")
    fast = await submitted(ledger, 2, agent="fast")
    assert await claimed(ledger, "slow", "fast", most=5) == [slow[0], fast[0], slow[1], fast[1], slow[2]]


async def test_of_many_agents_a_worker_for_any_serves_the_one_that_waits(ledger: Ledger) -> None:
    for number in range(20):
        await submitted(ledger, 1, agent=f"agent-{number}")
    assert len(set(await claimed(ledger, most=20))) == 20


async def test_owners_are_served_in_turn_whoever_came_first(ledger: Ledger) -> None:
    alices = await submitted(ledger, 50, owner="alice")
    assert await claimed(ledger, most=3) == alices[:3]
    bobs = await submitted(ledger, 2, owner="bob")
    assert await claimed(ledger, most=5) == [alices[3], bobs[0], alices[4], bobs[1], alices[5]]


async def test_an_owner_that_comes_again_and_again_is_served_no_more_often(ledger: Ledger) -> None:
    alices = await submitted(ledger, 4, owner="alice")
    order = list[str]()
    for _ in range(3):
        bobs = await submitted(ledger, 1, owner="bob")
        order += await claimed(ledger, most=2)
        assert bobs[0] in order
    assert [one for one in order if one in alices] == alices[:3]


async def test_the_position_tells_how_many_are_claimed_before(ledger: Ledger, pipe: Pipe) -> None:
    chance = random.Random(7)
    waiting = [a_run(owner=chance.choice(["alice", "bob", "carol"])) for _ in range(25)]
    for number, run in enumerate(waiting):
        await submit(ledger, run)
        if number == 9:
            await claimed(ledger, most=2)
    seen = {run.run_id: await RunIndex(pipe, KEYS).position(run.run_id) for run in waiting}
    order = await claimed(ledger, most=25)
    assert {run_id: seen[run_id] for run_id in order} == {run_id: place for place, run_id in enumerate(order)}


async def test_runs_of_other_agents_are_not_ahead(ledger: Ledger, pipe: Pipe) -> None:
    await submitted(ledger, 3, agent="coder")
    (own,) = await submitted(ledger, 1)
    assert await RunIndex(pipe, KEYS).position(own) == 0


def reads(look: Look) -> int:
    """Records and lists that Redis has read, those of scripts included."""
    read = ("hget", "hmget", "hlen", "zrange", "zrangebyscore", "zscore", "zcard", "lindex", "zrem", "zadd")
    return sum(
        stats["calls"] for name, stats in look.info("commandstats").items() if name.removeprefix("cmdstat_") in read
    )


async def test_a_claim_reads_no_more_whatever_waits(real_broker: RealBroker) -> None:
    async with opened_client(real_broker) as client:
        pipe = Pipe(client)
        with looking(real_broker) as look:
            await costs_are_equal(Ledger(pipe, KEYS), look)
        await pipe.aclose()


async def costs_are_equal(ledger: Ledger, look: Look) -> None:
    async def cost(others: int) -> int:
        await submitted(ledger, others, agent="slow", owner="bob")
        await submitted(ledger, others, agent="fast", owner="alice")
        before = reads(look)
        assert len(await claimed(ledger, "fast", most=2)) == 2
        return reads(look) - before

    await cost(3)  # loads the scripts
    assert await cost(9) == await cost(300)


# --- places -----------------------------------------------------------------------------------------------------------


async def test_a_lost_silent_run_comes_before_those_that_waited_less(ledger: Ledger, look: Look) -> None:
    first, *others = await submitted(ledger, 3)
    (lost,) = await claim(ledger, most=1)
    end_lease(look, first)
    taken = await ledger.take(lost.run.run_id, "api", lease_ms=LEASE_MS)
    assert taken is not None
    await ledger.release(first, taken.token, spend=False)
    assert await claimed(ledger) == [first, *others]


async def test_a_run_that_is_handed_back_gets_its_patience_and_its_place(ledger: Ledger) -> None:
    first, *others = await submitted(ledger, 3)
    (drained,) = await claim(ledger, most=1)
    await ledger.release(first, drained.token, spend=False)
    record = await ledger.record(first)
    assert record is not None
    assert record.queued_until_ms >= record.ready_ms + 60_000
    assert await claimed(ledger) == [first, *others]


# --- lanes ------------------------------------------------------------------------------------------------------------


async def test_a_lane_that_redis_has_lost_is_made_again(ledger: Ledger, look: Look) -> None:
    first = await running(ledger, a_run("s"))
    waiting = a_run("s")
    await submit(ledger, waiting)
    look.delete(NAMES["lane"] + "s")
    await ledger.settle(first, DONE)
    end_lane_check(look, waiting.run_id)
    assert await claimed(ledger) == [waiting.run_id]
    assert lane(look, waiting) == [waiting.run_id]


async def test_a_lane_check_comes_again(ledger: Ledger, look: Look) -> None:
    await running(ledger, a_run("s"))
    waiting = a_run("s")
    await submit(ledger, waiting)
    end_lane_check(look, waiting.run_id)
    assert await claimed(ledger) == []
    seconds, _ = look.time()
    assert (look.zscore(KEYS.checks, waiting.run_id) or 0) > seconds * 1000 + LANE_CHECK_MS / 2


# --- spoilt records ---------------------------------------------------------------------------------------------------

SPOILT: dict[str, Callable[[Look, Run], object]] = {
    "no record": lambda look, run: forget(look, run.run_id),
    "another type": lambda look, run: (
        look.delete(KEYS.run(run.run_id)),
        look.set(KEYS.run(run.run_id), "x", px=9_999),
    ),
    "another type of lane": lambda look, run: (
        look.delete(NAMES["lane"] + run.session_key),
        look.set(NAMES["lane"] + run.session_key, "x", px=9_999),
    ),
    **{
        f"{field} = {value[:12]!r}": lambda look, run, field=field, value=value: look.hset(  # type: ignore[misc]
            KEYS.run(run.run_id), field, value
        )
        for field in ("v", "keep", "patience", "queued_until", "attempt", "tries", "queued", "ready", "at", "place")
        for value in ("", "junk", "1e400", "nan", "9" * 400)
    },
    "state = 'junk'": lambda look, run: look.hset(KEYS.run(run.run_id), "state", "junk"),
    "agent = 'other'": lambda look, run: look.hset(KEYS.run(run.run_id), "agent", "other"),
    "owner = ''": lambda look, run: look.hset(KEYS.run(run.run_id), "owner", ""),
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT.keys())
async def test_a_spoilt_record_changes_no_other_run(
    ledger: Ledger, look: Look, spoil: Callable[[Look, Run], object]
) -> None:
    """It stands first in its list. It is claimed to be ended, or dropped, and nothing is left of it."""
    spoilt, next_of_lane, other = a_run("s"), a_run("s"), a_run()
    for run in (spoilt, next_of_lane, other):
        await submit(ledger, run)
    spoil(look, spoilt)
    claims = await raw_claim(ledger)
    assert other.run_id in claims
    for run_id in await ledger.overdue(lost_for_ms=0, most=9):
        claims += await raw_claim(ledger, run_id)
    assert spoilt.run_id in claims or not look.exists(KEYS.run(spoilt.run_id)) or look.get(KEYS.run(spoilt.run_id))
    assert spoilt.run_id not in members(look, KEYS.queue)


@pytest.mark.parametrize("field", ["v", "keep", "patience", "attempt", "tries", "queued", "at", "place"])
async def test_a_record_with_a_spoilt_field_is_claimed_to_be_ended(ledger: Ledger, look: Look, field: str) -> None:
    """It is not deleted: its readers are told that it cannot be read, and not that Redis has lost it."""
    spoilt, behind = a_run("s"), a_run("s")
    await submit(ledger, spoilt)
    await submit(ledger, behind)
    look.hset(KEYS.run(spoilt.run_id), field, "junk")
    claimed = await claim_one(ledger)
    assert (claimed.run.run_id, claimed.readable, claimed.begun) == (spoilt.run_id, False, False)
    assert await ledger.settle(claimed, DONE)
    assert (await claim_one(ledger)).run == behind


async def raw_claim(ledger: Ledger, run_id: str = "") -> list[str]:
    """The ids of the claimed runs, also of those whose request cannot be read."""
    reply = await ledger._run("claim", "w1", LEASE_MS, 10, '{"*": "{}"}', run_id)
    assert isinstance(reply, list)
    return [row[0].decode() for row in reply if isinstance(row, list) and isinstance(row[0], bytes)]


async def test_junk_in_every_list_stops_no_claim(ledger: Ledger, look: Look) -> None:
    (run_id,) = await submitted(ledger, 1)
    lists = [KEYS.queue, KEYS.checks, KEYS.deadlines, KEYS.leases]
    lists += [NAMES[name] + "main" for name in ("ready", "line", "leased", "owners")] + [
        NAMES["waiting"] + "main:alice"
    ]
    for zset in [*lists, NAMES["turns"], NAMES["agents"]]:
        look.zadd(zset, {"junk": 1, "more\xff junk": 2})
    assert await ledger.overdue(lost_for_ms=0, most=9) == []
    assert await claimed(ledger, "main") == [run_id]
    assert (
        members(look, KEYS.queue)
        == members(look, KEYS.deadlines)
        == members(look, NAMES["waiting"] + "main:alice")
        == []
    )
    assert members(look, KEYS.leases) == [run_id]
    look.delete(NAMES["line"] + "main")


# --- the release before -----------------------------------------------------------------------------------------------


def accepted_by_0_2(look: Look, run: Run, state: State = State.QUEUED, **fields: str | int) -> None:
    """Writes what release 0.2 writes for an accepted run, or for a running one whose worker was lost."""
    seconds, _ = look.time()
    now = seconds * 1000
    record: dict[str, str | int] = {
        "v": 1, "state": state.value, "agent": run.agent_id, "session": run.session_key, "owner": run.owner,
        "bell": "main", "spec": run.model_dump_json(by_alias=True), "keep": 120_000, "patience": 60_000, "attempt": 0,
        "tries": 0, "queued": now, "queued_until": now + 60_000, "ready": now, "at": f"{now}.125", "created": now,
        "foreground": 1,
    }  # fmt: skip
    look.hset(KEYS.run(run.run_id), mapping=record | fields)
    look.pexpire(KEYS.run(run.run_id), 120_000)
    look.rpush(NAMES["lane"] + run.session_key, run.run_id)
    look.pexpire(NAMES["lane"] + run.session_key, 120_000)
    if state is State.QUEUED:
        later = now + LANE_CHECK_MS if fields.get("queued_until") == 0 else now
        look.zadd("{test}:queue:v1", {run.run_id: later})
    else:
        look.zadd("{test}:leases:v1", {run.run_id: now - 1_000})


async def test_runs_of_the_release_before_are_taken_over(ledger: Ledger, look: Look) -> None:
    first, behind, lost = a_run("s"), a_run("s"), a_run()
    accepted_by_0_2(look, lost, State.RUNNING, attempt=1, tries=1, begun=1, token="w0/1", worker="w0")
    accepted_by_0_2(look, first)
    accepted_by_0_2(look, behind, queued_until=0)
    claims = await claim(ledger)
    claims += await claim(ledger)  # lost runs come first
    assert {one.run.run_id: one.lost for one in claims} == {first.run_id: False, lost.run_id: True}
    await ledger.settle(next(one for one in claims if one.run == first), DONE)
    assert (await claim_one(ledger)).run == behind
    assert look.exists("{test}:queue:v1", "{test}:leases:v1") == 0


async def test_what_the_release_before_has_ended_stands_in_no_list(ledger: Ledger, look: Look) -> None:
    """Its janitor ends a run that this release has listed, and knows nothing of the lists."""
    (run_id,) = await submitted(ledger, 1)
    look.hset(KEYS.run(run_id), "state", "failed")
    assert await claimed(ledger) == []
    assert members(look, KEYS.queue) == members(look, NAMES["ready"] + "main") == members(look, KEYS.deadlines) == []
