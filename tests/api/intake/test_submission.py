from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from api.intake.submission import Submission
from api.relay.hub import Hub
from api.relay.reader_heartbeat import ReaderHeartbeat
from api.relay.relay import Relay
from shared.ledger.ledger import Ledger, RequestIdentity
from shared.ledger.reader_leases import ReaderLeases
from shared.log.event_log import EventLog, Head
from shared.observe.supervision import Beat
from shared.run.errors import KeyReused, QueueFull, SessionTaken, Unavailable
from shared.run.events import Completed, Delta, Event, Queued
from shared.run.run import Run
from tests.broker import KEYS, Broker, FakeBroker, Look, opened_client
from tests.events import said
from tests.lossy import Fault, LossyPipe
from tests.runs import BOUNDS, ONCE, a_run, claim_one, submit
from tests.wait import wait_until

LONG = 20.0  # seconds


@asynccontextmanager
async def front_on(broker: Broker) -> AsyncIterator[tuple[Submission, LossyPipe]]:
    async with opened_client(broker) as client, opened_client(broker, connections=1) as link:
        pipe = LossyPipe(client)
        log, ledger = EventLog(pipe, KEYS, retention_ms=60_000), Ledger(pipe, KEYS)
        hub = Hub(link, resting=KEYS.channel("rest"))
        async with anyio.create_task_group() as group:
            group.start_soon(hub.listen, Beat())
            await wait_until(lambda: hub._link, "the link stands")
            yield (
                Submission(Relay(hub, log, ledger), ReaderHeartbeat(ReaderLeases(pipe, KEYS)), ledger, log, BOUNDS),
                pipe,
            )
            group.cancel_scope.cancel()
        await pipe.aclose()


@pytest.fixture
async def submission(broker: Broker) -> AsyncIterator[Submission]:
    async with front_on(broker) as (submission, _):
        yield submission


def about(run: Run, look: Look) -> list[str]:
    """Keys that have something to do with the run."""
    return [key.decode() for key in look.keys(f"*{run.run_id}*")]


async def test_a_run_is_followed_from_its_first_event_on(submission: Submission, log: EventLog, ledger: Ledger) -> None:
    run = a_run()
    async with submission.submitted(run, bell="main", once=ONCE) as (accepted, reader):
        assert accepted == run
        claimed = await claim_one(ledger)
        head = await log.fence(run.run_id, claimed.attempt)
        await log.append(said(Delta(delta="Hi"), first=head.seq + 1, run_id=run.run_id), Head(head.seq + 1, 2))
        seen = list[Event]()
        while len(seen) < 2:
            seen += await reader.batch(LONG)
    assert [event.data for event in seen] == [Queued(), Delta(delta="Hi")]
    assert [event.seq for event in seen] == [1, 2]


async def test_the_same_request_again_follows_the_run_it_made(submission: Submission, look: Look) -> None:
    first, again, once = a_run(), a_run(), RequestIdentity("digest", "key")
    async with (
        submission.submitted(first, bell="main", once=once),
        submission.submitted(again, bell="main", once=once) as (joined, reader),
    ):
        assert joined == first
        (event,) = await reader.batch(LONG)
        assert (event.run_id, event.data) == (first.run_id, Queued())
    assert about(again, look) == []


async def test_a_finished_run_is_replayed(submission: Submission, log: EventLog, ledger: Ledger) -> None:
    run = a_run()
    await submit(ledger, run, once=RequestIdentity("digest", "key"))
    await log.fence(run.run_id, 1)
    await log.append(said(Delta(delta="Hi"), Completed(), run_id=run.run_id), Head(2, 2))
    async with submission.submitted(a_run(), bell="main", once=RequestIdentity("digest", "key")) as (_, reader):
        assert [event.data for event in await reader.batch(LONG)] == [Delta(delta="Hi"), Completed()]


async def test_a_refused_run_leaves_nothing_behind(submission: Submission, ledger: Ledger, look: Look) -> None:
    await submit(ledger, a_run("s"), once=RequestIdentity("digest", "key"))
    refusals: list[tuple[type[Exception], Run, RequestIdentity]] = [
        (SessionTaken, a_run("s", owner="bob"), ONCE),
        (KeyReused, a_run(), RequestIdentity("other", "key")),
    ]
    for refusal, run, once in refusals:
        with pytest.raises(refusal):
            async with submission.submitted(run, bell="main", once=once):
                raise AssertionError("it was accepted")
        assert about(run, look) == []


async def test_a_full_queue_refuses(broker: Broker, look: Look) -> None:
    async with front_on(broker) as (submission, _):
        runs = [a_run("s") for _ in range(BOUNDS.max_waiting_per_session + 2)]
        for run in runs[:-1]:
            await submission.accept(run, bell="main", once=ONCE)
        with pytest.raises(QueueFull):
            await submission.accept(runs[-1], bell="main", once=ONCE)
        assert about(runs[-1], look) == []


@pytest.mark.parametrize("faults", [["before"] * 3, ["after"] * 3, ["before", "after"] * 2])
async def test_while_redis_hiccups_a_run_is_accepted_once(
    broker: Broker, ledger: Ledger, look: Look, faults: list[Fault]
) -> None:
    async with front_on(broker) as (submission, pipe):
        run = a_run()
        pipe.faults = faults
        async with submission.submitted(run, bell="main", once=RequestIdentity("digest", "key")) as (accepted, _):
            assert accepted == run
        assert look.llen(KEYS.bell("main")) == 1
        assert (await claim_one(ledger)).run == run


@pytest.mark.slow
async def test_a_redis_that_does_not_come_back_refuses_the_request() -> None:
    async with front_on(FakeBroker()) as (submission, pipe):
        pipe.faults = ["before"] * 10_000
        with pytest.raises(Unavailable):
            await submission.accept(a_run(), bell="main", once=ONCE)


async def test_readers_that_have_left_leave_no_subscription(submission: Submission, look: Look) -> None:
    run = a_run()
    async with submission.submitted(run, bell="main", once=ONCE):
        assert KEYS.channel(run.run_id).encode() in look.pubsub_channels()
    await wait_until(
        lambda: KEYS.channel(run.run_id).encode() not in look.pubsub_channels(), "the subscription is given up"
    )
