from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from api.http.instrumentation import NoApiInstrumentation
from api.relay.hub import Hub
from api.relay.inbox import CAPACITY, Inbox
from api.relay.relay import Relay, RunReader
from shared.ledger.ledger import Ledger
from shared.log.event_log import PAGE, EventLog, Head
from shared.observe.supervision import Beat
from shared.redis.pipe import Pipe
from shared.run.errors import Draining, EventsGone, LogLost, Unavailable
from shared.run.events import Completed, Delta, Event, Queued, to_json
from shared.run.run import End
from shared.run.states import State
from tests.broker import KEYS, Broker, FakeBroker, Look, RealBroker, Valkey, looking, opened_client
from tests.events import RUN_ID, deltas, head_after, said
from tests.lossy import Fault, LossyPipe
from tests.runs import a_run, forget, running, submit
from tests.wait import wait_until

SHORT = 0.005  # seconds of patience, where no message wakes the reader
LONG = 20.0


@asynccontextmanager
async def relay_on(broker: Broker) -> AsyncIterator[tuple[Relay, EventLog, Ledger]]:
    """The relay of a process whose link is up, with its log and its ledger."""
    async with opened_client(broker) as client, opened_client(broker, connections=1) as link:
        pipe = Pipe(client)
        log, ledger = EventLog(pipe, KEYS, retention_ms=60_000), Ledger(pipe, KEYS)
        hub = Hub(link, resting=KEYS.channel("rest"))
        async with anyio.create_task_group() as group:
            group.start_soon(hub.listen, Beat())
            await wait_until(lambda: hub._link, "the link stands")
            yield Relay(hub, log, ledger, look_seconds=0), log, ledger
            group.cancel_scope.cancel()
        await pipe.aclose()


async def test_a_reader_knows_whether_it_is_alone(broker: Broker) -> None:
    async with relay_on(broker) as (here, _, _), relay_on(broker) as (there, _, _), here.follow(RUN_ID) as reader:
        assert await reader.alone()
        for other in (here, there):
            async with other.follow(RUN_ID):
                assert not await reader.alone()
            await wait_until(reader.alone, "the other has left")


async def test_a_reader_does_not_take_itself_for_alone_while_redis_is_away(own_valkey: Valkey) -> None:
    async with relay_on(RealBroker(own_valkey.url)) as (relay, _, _), relay.follow(RUN_ID) as reader:
        own_valkey.kill()
        assert not await reader.alone()
        own_valkey.start()


@pytest.fixture
async def relay(broker: Broker) -> AsyncIterator[Relay]:
    async with relay_on(broker) as (relay, _, _):
        yield relay


class Gaps(NoApiInstrumentation):
    count = 0

    def gap(self) -> None:
        self.count += 1


async def write(log: EventLog, events: Sequence[Event], before: Head | None = None) -> Head:
    after = head_after(events, before)
    await log.append(events, after)
    return after


async def written(log: EventLog, *texts: str) -> Head:
    await log.fence(RUN_ID, 1)
    return await write(log, deltas(*texts))


async def read(reader: RunReader, number: int, patience: float = LONG) -> list[int]:
    """The numbers of the next `number` events."""
    seen = list[int]()
    while len(seen) < number:
        seen += [event.seq for event in await reader.batch(patience)]
    return seen


# --- the fast path ----------------------------------------------------------------------------------------------------


async def test_a_reader_gets_events_as_they_come(relay: Relay, log: EventLog) -> None:
    async with relay.follow(RUN_ID) as reader:
        await log.fence(RUN_ID, 1)
        before = Head()
        for number in range(1, 4):
            before = await write(log, deltas(str(number), first=number), before)
            (event,) = await reader.batch(LONG)
            assert event.data == Delta(delta=str(number))


async def test_every_reader_of_a_run_gets_all_of_it(relay: Relay, log: EventLog) -> None:
    async with relay.follow(RUN_ID) as one, relay.follow(RUN_ID, after=0) as two:
        await written(log, "a", "b")
        assert await read(one, 2) == await read(two, 2) == [1, 2]


async def test_readers_of_other_runs_get_nothing_of_it(relay: Relay, log: EventLog, ledger: Ledger) -> None:
    run = a_run()
    await submit(ledger, run)
    async with relay.follow(run.run_id) as other, relay.follow(RUN_ID) as reader:
        await written(log, "a")
        assert await read(reader, 1) == [1]
        assert await other.batch(SHORT) == []


async def test_silence_is_an_empty_batch(relay: Relay, ledger: Ledger) -> None:
    run = a_run()
    await submit(ledger, run)
    async with relay.follow(run.run_id) as reader:
        assert await reader.batch(SHORT) == []


# --- the stream is the truth ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("after", "expected"), [(0, [1, 2, 3, 4]), (2, [3, 4]), (3, [4])])
async def test_a_reader_goes_on_where_it_was(relay: Relay, log: EventLog, after: int, expected: list[int]) -> None:
    before = await written(log, "a", "b", "c")
    async with relay.follow(RUN_ID, after=after) as reader:
        assert await read(reader, 3 - after) == expected[:-1]
        await write(log, deltas("d", first=4), before)
        assert await read(reader, 1) == expected[-1:]


async def test_a_late_reader_reads_a_long_run_in_pages(relay: Relay, log: EventLog) -> None:
    await written(log, *map(str, range(2 * PAGE + 1)))
    async with relay.follow(RUN_ID, after=0) as reader:
        batches = [len(await reader.batch(LONG)) for _ in range(3)]
        assert batches == [PAGE, PAGE, 1]


async def ended(log: EventLog, ledger: Ledger, *texts: str) -> str:
    """The id of a run that has emitted these deltas and completed."""
    claimed = await running(ledger)
    run_id, end = claimed.run.run_id, End(state=State.COMPLETED)
    events = [*deltas(*texts, run_id=run_id), *said(Completed(), first=len(texts) + 1, run_id=run_id)]
    await log.fence(run_id, 1)
    await log.close(events, head_after(events), end)
    assert await ledger.settle(claimed, end)
    return run_id


async def test_a_reader_goes_on_anywhere_in_a_compacted_log(relay: Relay, log: EventLog, ledger: Ledger) -> None:
    last = 2 * PAGE + 1
    run_id = await ended(log, ledger, *map(str, range(2 * PAGE)))
    await log.compact(run_id)
    for after in (0, 1, PAGE - 1, PAGE, PAGE + 1, last - 1):
        async with relay.follow(run_id, after=after) as reader:
            assert await read(reader, last - after) == list(range(after + 1, last + 1))
            assert await reader.batch(SHORT) == []


@pytest.mark.parametrize("pages", range(4))
async def test_a_reader_does_not_notice_that_the_log_is_compacted(
    relay: Relay, log: EventLog, ledger: Ledger, pages: int
) -> None:
    """The log may be compacted between any two of the reader's pages."""
    run_id = await ended(log, ledger, *map(str, range(2 * PAGE + 9)))
    async with relay.follow(run_id, after=0) as reader:
        seen = [event.seq for _ in range(pages) for event in await reader.batch(LONG)]
        await log.compact(run_id)
        assert seen + await read(reader, 2 * PAGE + 10 - len(seen)) == list(range(1, 2 * PAGE + 11))
        assert await reader.batch(SHORT) == []


async def test_a_finished_run_can_be_read_again_and_again(relay: Relay, log: EventLog) -> None:
    before = await written(log, "a")
    await log.close(said(Completed(), first=2), Head(2, before.chars), End(state=State.COMPLETED))
    for _ in range(2):
        async with relay.follow(RUN_ID, after=0) as reader:
            assert await read(reader, 2) == [1, 2]


async def test_what_pubsub_loses_is_read_from_the_stream(log: EventLog, ledger: Ledger, redis: Redis) -> None:
    """The next message shows a hole. A lost last message shows when the reader's patience ends."""
    inbox, events = Inbox(), deltas("a", "b", "c", "d")
    reader = RunReader(RUN_ID, inbox, Hub(redis, resting="rest"), log, ledger, None, look_seconds=0)
    await log.fence(RUN_ID, 1)
    await write(log, events[:3])
    inbox.put(to_json(events[0]))
    assert await read(reader, 1) == [1]
    inbox.put(to_json(events[2]))
    assert await read(reader, 2) == [2, 3]
    await write(log, events[3:], head_after(events[:3]))
    assert [event.seq for event in await reader.batch(SHORT)] == [4]


async def test_going_to_the_stream_for_what_was_missed_is_counted_once(
    log: EventLog, ledger: Ledger, redis: Redis
) -> None:
    inbox, events, gaps = Inbox(), deltas("a", "b", "c", "d"), Gaps()
    reader = RunReader(RUN_ID, inbox, Hub(redis, resting="rest"), log, ledger, None, gaps)
    await log.fence(RUN_ID, 1)
    await write(log, events)
    inbox.put(to_json(events[0]))
    assert await read(reader, 1) == [1]
    assert gaps.count == 0
    inbox.put(to_json(events[2]))
    inbox.put(to_json(events[3]))
    assert await read(reader, 3) == [2, 3, 4]
    assert gaps.count == 1


async def test_a_late_reader_has_missed_nothing(log: EventLog, ledger: Ledger, redis: Redis) -> None:
    gaps = Gaps()
    reader = RunReader(RUN_ID, Inbox(), Hub(redis, resting="rest"), log, ledger, 0, gaps)
    await written(log, "a", "b")
    assert await read(reader, 2) == [1, 2]
    assert gaps.count == 0


async def test_a_gap_is_filled_from_the_stream(log: EventLog, ledger: Ledger, redis: Redis) -> None:
    inbox = Inbox()
    reader = RunReader(RUN_ID, inbox, Hub(redis, resting="rest"), log, ledger, None, look_seconds=0)
    await written(log, "a", "b")
    inbox.gap()
    assert await read(reader, 2) == [1, 2]


async def test_a_reader_that_was_slow_gets_all_at_its_own_pace(relay: Relay, log: EventLog, look: Look) -> None:
    async with relay.follow(RUN_ID) as slow, relay.follow(RUN_ID) as quick:
        await log.fence(RUN_ID, 1)
        before = Head()
        for number in range(1, CAPACITY + 50):
            before = await write(log, deltas("x", first=number), before)
            assert await read(quick, 1) == [number]
        assert await read(slow, CAPACITY + 49) == list(range(1, CAPACITY + 50))


async def test_a_link_that_is_cut_loses_no_event_and_repeats_none(real_broker: Broker) -> None:
    with looking(real_broker) as look:
        async with relay_on(real_broker) as (relay, log, _), relay.follow(RUN_ID) as reader:
            await log.fence(RUN_ID, 1)
            before = await write(log, deltas("a"))
            seen = await read(reader, 1)
            for number in range(2, 30):
                if number % 5 == 0:
                    look.client_kill_filter(_type="pubsub")
                before = await write(log, deltas("x", first=number), before)
            seen += await read(reader, 28)
            assert seen == list(range(1, 30))


async def test_an_outage_of_redis_loses_no_event_and_repeats_none(own_valkey: Valkey) -> None:
    broker = RealBroker(own_valkey.url)
    async with relay_on(broker) as (relay, log, _), relay.follow(RUN_ID) as reader:
        await log.fence(RUN_ID, 1)
        before = await write(log, deltas("a", "b"))
        seen = await read(reader, 1)
        own_valkey.kill()
        async with anyio.create_task_group() as group:

            async def read_on() -> None:
                while len(seen) < 4:
                    seen.extend(event.seq for event in await reader.batch(LONG))

            group.start_soon(read_on)
            await anyio.wait_all_tasks_blocked()
            own_valkey.start()
            await wait_until(lambda: _written(log, deltas("c", "d", first=3), before), "Redis is back")
        assert seen == [1, 2, 3, 4]


async def _written(log: EventLog, events: Sequence[Event], before: Head) -> bool:
    try:
        await write(log, events, before)
    except Unavailable:
        return False
    return True


FAULTS: st.SearchStrategy[list[Fault]] = st.lists(st.sampled_from(["", "before", "after"]), max_size=4)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(1, 4)),
        st.tuples(st.just("hear"), st.integers(0, 20)),  # any message so far, again
        st.tuples(st.just("lose"), st.just(0)),  # the oldest one that was not delivered
        st.tuples(st.just("deliver"), st.integers(1, 4)),
        st.tuples(st.just("gap"), st.just(0)),
        st.tuples(st.just("read"), st.just(0)),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS, faults=FAULTS, after=st.none() | st.just(0))
async def test_whatever_pubsub_does_a_reader_gets_every_event_once_in_order(
    steps: list[tuple[str, int]], faults: list[Fault], after: int | None
) -> None:
    """Pub/sub may lose messages and repeat them, also late, as after a new link. Reads of the stream may fail."""
    async with opened_client(FakeBroker()) as client:
        pipe, inbox = LossyPipe(client), Inbox()
        log, ledger = EventLog(pipe, KEYS, retention_ms=60_000), Ledger(pipe, KEYS)
        reader = RunReader(RUN_ID, inbox, Hub(client, resting="rest"), log, ledger, after, look_seconds=0)
        await running(ledger, a_run(run_id=RUN_ID))
        await log.fence(RUN_ID, 1)
        head, published, delivered, seen = Head(), list[bytes](), 0, list[int]()
        for step, number in steps:
            match step:
                case "write":
                    events = deltas(*"x" * number, first=head.seq + 1)
                    head = await write(log, events, head)
                    published.append(b"\n".join(map(to_json, events)))
                case "deliver":
                    for message in published[delivered : delivered + number]:
                        inbox.put(message)
                        delivered += 1
                case "lose":
                    delivered = min(delivered + 1, len(published))
                case "hear" if published:
                    inbox.put(published[number % len(published)])
                case "gap":
                    inbox.gap()
                case "read":
                    pipe.faults = list(faults)
                    seen += [event.seq for event in await reader.batch(SHORT)]
                    pipe.faults = []
        assert not reader.ended
        last = said(Completed(), first=head.seq + 1)
        await log.close(last, Head(head.seq + 1, head.chars), End(state=State.COMPLETED))
        while len(seen) <= head.seq:
            seen += [event.seq for event in await reader.batch(SHORT)]
        await pipe.aclose()
    assert seen == list(range(1, head.seq + 2))
    assert reader.ended


# --- what cannot be read ----------------------------------------------------------------------------------------------


async def test_a_place_before_what_is_kept_is_told(relay: Relay, log: EventLog, look: Look) -> None:
    await written(log, "a", "b", "c")
    look.xdel(KEYS.stream(RUN_ID), "0-1")
    async with relay.follow(RUN_ID, after=0) as reader:
        with pytest.raises(EventsGone):
            await reader.batch(LONG)
    async with relay.follow(RUN_ID, after=1) as reader:
        assert await read(reader, 2) == [2, 3]


async def test_a_hole_in_the_stream_is_told(relay: Relay, log: EventLog, look: Look) -> None:
    await written(log, "a", "b", "c")
    look.xdel(KEYS.stream(RUN_ID), "0-2")
    async with relay.follow(RUN_ID, after=0) as reader:
        with pytest.raises(EventsGone):
            await reader.batch(LONG)


@pytest.mark.parametrize("left", [0, 1])
async def test_that_what_a_finished_run_has_said_is_gone_is_told(
    relay: Relay, log: EventLog, ledger: Ledger, look: Look, left: int
) -> None:
    """Also when no event is left, or only events far behind the reader's position: no more will come."""
    run_id = await ended(log, ledger, *map(str, range(3 * PAGE)))
    look.xtrim(KEYS.stream(run_id), maxlen=left, approximate=False)
    async with relay.follow(run_id, after=1) as reader:
        with pytest.raises(EventsGone):
            await reader.batch(SHORT)


class LateLog(EventLog):
    """Returns no events at the first read, as if they were written a moment later."""

    late = True

    async def read(self, run_id: str, after: int, *, most: int = PAGE) -> list[Event]:
        late, self.late = self.late, False
        return [] if late else await super().read(run_id, after, most=most)


async def test_a_run_that_ends_while_its_reader_looks_is_read_to_its_end(
    pipe: Pipe, log: EventLog, ledger: Ledger, redis: Redis
) -> None:
    run_id, late = await ended(log, ledger, "a"), LateLog(pipe, KEYS, retention_ms=60_000)
    reader = RunReader(run_id, Inbox(), Hub(redis, resting="rest"), late, ledger, None, look_seconds=0)
    assert [event.seq for event in await reader.batch(SHORT)] == [1, 2]


async def test_a_run_that_redis_has_lost_is_told(relay: Relay, ledger: Ledger, look: Look) -> None:
    run = a_run()
    await submit(ledger, run)
    async with relay.follow(run.run_id) as reader:
        assert await reader.batch(SHORT) == []
        forget(look, run.run_id)
        with pytest.raises(LogLost):
            await reader.batch(SHORT)


async def test_a_gap_has_a_silent_run_looked_for_at_once(relay: Relay, ledger: Ledger, look: Look) -> None:
    """Otherwise the reader would wait for a message that never comes."""
    run = a_run()
    await submit(ledger, run)
    async with relay.follow(run.run_id) as reader:
        forget(look, run.run_id)
        relay._hub.gap(KEYS.channel(run.run_id))
        with pytest.raises(LogLost):
            await reader.batch(60 * LONG)


async def test_a_run_that_has_ended_without_a_log_is_told(relay: Relay, ledger: Ledger) -> None:
    """Its log was lost, so its end could not be written there."""
    claimed = await running(ledger)
    async with relay.follow(claimed.run.run_id) as reader:
        await ledger.settle(claimed, End(state=State.FAILED, code="run_lost"))
        with pytest.raises(LogLost):
            await reader.batch(SHORT)


async def test_a_run_whose_last_event_was_read_is_not_lost(relay: Relay, ledger: Ledger, log: EventLog) -> None:
    run_id = await ended(log, ledger)
    async with relay.follow(run_id, after=1) as reader:
        assert await reader.batch(SHORT) == []


async def test_the_log_of_a_run_that_waits_is_kept_alive_by_its_readers(
    relay: Relay, log: EventLog, ledger: Ledger, look: Look
) -> None:
    run = a_run()
    await submit(ledger, run)
    await log.append(said(Queued(), attempt=0, run_id=run.run_id), Head(1))
    names = (KEYS.stream(run.run_id), KEYS.head(run.run_id))
    for name in names:
        look.pexpire(name, 20_000)
    async with relay.follow(run.run_id, after=1) as reader:
        assert await reader.batch(SHORT) == []
    assert all(look.pttl(name) > 20_000 for name in names)


async def test_a_process_that_stops_lets_its_readers_go(relay: Relay, log: EventLog) -> None:
    async with relay.follow(RUN_ID) as reader, anyio.create_task_group() as group:

        async def wait() -> None:
            with pytest.raises(Draining):
                await reader.batch(LONG)

        group.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        relay.end()


async def test_what_has_come_is_read_before_a_process_stops(log: EventLog, ledger: Ledger, redis: Redis) -> None:
    inbox, hub = Inbox(), Hub(redis, resting="rest")
    reader = RunReader(RUN_ID, inbox, hub, log, ledger, None)
    inbox.put(to_json(deltas("a")[0]))
    hub.end()
    assert await read(reader, 1) == [1]
    with pytest.raises(Draining):
        await reader.batch(LONG)
