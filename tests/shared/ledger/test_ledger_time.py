"""The ledger's time: nothing is over because of a time in which nobody could do anything about it."""

from __future__ import annotations

import pytest

from shared.ledger.ledger import Claim, Ledger
from shared.ledger.presence import Presence
from shared.ledger.reader_leases import ReaderLeases
from shared.redis.keys import WATCH_TTL_MS
from shared.redis.pipe import Pipe
from tests.broker import KEYS, Look
from tests.runs import LEASE_MS, a_run, claim, claim_one, end_lease, running, submit
from tests.shared.announcing import announcement

WATCH = KEYS.prefixes()["watch"]
HOUR_MS = 3_600_000


def set_clock(look: Look, by_ms: int) -> None:
    """As if Redis's clock were set between the last script and the next: by it the last script ran so long ago."""
    look.hincrby(WATCH, "at", -by_ms)
    look.hset(WATCH, "skew", str(by_ms))


def end_of(look: Look, claimed: Claim) -> float:
    end = look.zscore(KEYS.leases, claimed.run.run_id)
    assert end is not None
    return end


STEPS = pytest.mark.parametrize("step", [HOUR_MS, -HOUR_MS, 40 * HOUR_MS, 3_000])


@STEPS
async def test_patience_is_not_over(ledger: Ledger, look: Look, step: int) -> None:
    await running(ledger)  # only workers and janitors watch
    await submit(ledger, waiting := a_run())
    set_clock(look, step)
    assert await ledger.overdue(lost_for_ms=0, most=100) == []
    assert (await claim_one(ledger)).run == waiting


@STEPS
async def test_no_reader_is_away(ledger: Ledger, pipe: Pipe, look: Look, step: int) -> None:
    await running(ledger)
    readers = ReaderLeases(pipe, KEYS)
    await submit(ledger, a_run(foreground=True))
    set_clock(look, step)
    assert await readers.abandon() == []


@STEPS
async def test_no_worker_is_dead(ledger: Ledger, pipe: Pipe, look: Look, step: int) -> None:
    await running(ledger)
    presence = Presence(pipe, KEYS)
    await presence.announce(announcement())
    set_clock(look, step)
    assert [seen.live for seen in await presence.workers()] == [True]


@STEPS
async def test_a_lease_is_neither_over_nor_endless(ledger: Ledger, look: Look, step: int) -> None:
    held = await running(ledger)
    set_clock(look, step)
    assert await claim(ledger, "w2") == []
    later = await running(ledger)
    assert 0 <= end_of(look, later) - end_of(look, held) < LEASE_MS


async def test_a_lock_that_was_set_while_the_clock_was_ahead_holds_up_nobody(ledger: Ledger, look: Look) -> None:
    """Its lease is over, and its owner is gone with its machine."""
    lost = await running(ledger)
    look.zadd(KEYS.leases, {lost.run.run_id: 0})
    assert await claim(ledger, "w2") == []
    look.pexpire(KEYS.prefixes()["lock"] + lost.run.run_id, HOUR_MS)
    assert [one.run for one in await claim(ledger, "w2")] == [lost.run]


async def test_the_first_come_is_served_first_although_the_clock_was_set_back(ledger: Ledger, look: Look) -> None:
    await running(ledger)
    await submit(ledger, first := a_run())
    set_clock(look, -HOUR_MS)
    await submit(ledger, second := a_run())
    assert [one.run for one in await claim(ledger)] == [first, second]


async def test_records_have_the_time_of_redis(ledger: Ledger, look: Look) -> None:
    await running(ledger)
    set_clock(look, HOUR_MS)
    await submit(ledger, run := a_run())
    record = await ledger.record(run.run_id)
    seconds, _ = look.time()
    assert record is not None
    assert abs(seconds * 1000 - record.queued_ms) < 60_000


@pytest.mark.parametrize(
    ("name", "junk"), [("at", "-1"), ("at", "nan"), ("at", str(2 * WATCH_TTL_MS)), ("skew", "x"), ("gap", "1e400")]
)
async def test_junk_in_the_watch_stops_no_time(ledger: Ledger, look: Look, name: str, junk: str) -> None:
    lost = await running(ledger)
    look.hset(WATCH, name, junk)
    end_lease(look, lost.run.run_id)
    assert [one.run for one in await claim(ledger, "w2")] == [lost.run]


async def test_a_watch_of_another_type_is_begun_again(ledger: Ledger, look: Look) -> None:
    await running(ledger)
    look.delete(WATCH)
    look.zadd(WATCH, {"junk": 1})
    await submit(ledger, run := a_run())
    assert [one.run for one in await claim(ledger)] == [run]


async def test_time_goes_on_while_a_janitor_ends_runs(ledger: Ledger, look: Look) -> None:
    """However long it takes for all of them, others' waits go on meanwhile."""
    lost = await running(ledger)
    end_lease(look, lost.run.run_id)
    look.hset(WATCH, "at", "1")
    before = look.hget(WATCH, "at")
    assert await ledger.take(lost.run.run_id, "janitor", lease_ms=LEASE_MS)
    assert look.hget(WATCH, "at") != before
