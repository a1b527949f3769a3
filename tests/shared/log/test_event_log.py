from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from itertools import pairwise

import pytest
from redis.asyncio import Redis

from shared.log.event_log import PAGE, EventLog, Head
from shared.log.packing import BLOCK, BLOCK_BYTES, BLOCK_EVENTS, EVENT
from shared.redis.client import Argument
from shared.redis.keys import LOG_OUTLIVES_MS
from shared.redis.pipe import Pipe
from shared.redis.replies import Reply
from shared.run.errors import Closed, Fenced, LogLost, Unavailable
from shared.run.events import (
    Completed,
    Delta,
    Event,
    Queued,
    Reasoning,
    Started,
    StopReason,
    ToolCallDelta,
    ToolUse,
    to_json,
)
from shared.run.flat_text import BETWEEN_MESSAGES
from shared.run.run import End
from shared.run.states import State
from tests.broker import KEYS, Broker, Look, RealBroker, Valkey, looking, opened_client
from tests.events import RUN_ID, deltas, head_after, said
from tests.lossy import Fault, LossyPipe

END = End(state=State.COMPLETED, text="ab")


@asynccontextmanager
async def messages_on_channel(redis: Redis) -> AsyncIterator[list[bytes]]:
    """The messages that the log publishes in the block; complete after it."""
    published: list[bytes] = []
    async with redis.pubsub() as pubsub:
        await pubsub.subscribe(KEYS.channel(RUN_ID))
        assert await pubsub.get_message(timeout=5)
        yield published
        await redis.publish(KEYS.channel(RUN_ID), b"that was all")
        while (message := await pubsub.get_message(timeout=5)) and message["data"] != b"that was all":
            published.append(message["data"])


async def append(log: EventLog, events: Sequence[Event], before: Head | None = None) -> Head:
    after = head_after(events, before)
    await log.append(events, after)
    return after


async def stored(log: EventLog) -> list[Event]:
    return await log.read(RUN_ID, 0)


# --- fence ------------------------------------------------------------------------------------------------------------


async def test_a_log_begins_at_nothing(log: EventLog) -> None:
    assert await log.fence(RUN_ID, 1) == Head()
    assert await log.head(RUN_ID) == Head()
    assert await stored(log) == []


async def test_a_fence_says_where_the_log_stands(log: EventLog) -> None:
    await log.fence(RUN_ID, 1)
    events = said(Delta(delta="Hello", message=0), Delta(delta="🙂", message=2), ToolUse(phase="start", name="t"))
    after = await append(log, events)
    assert after == Head(3, 6, 2)
    assert await log.fence(RUN_ID, 2) == await log.head(RUN_ID) == after


async def test_a_fence_says_how_many_tools_of_the_client_were_called(log: EventLog) -> None:
    await log.fence(RUN_ID, 1)
    pieces = (
        ToolCallDelta(index=0, id="a", name="f"),
        ToolCallDelta(index=0, arguments="{}"),
        ToolCallDelta(index=1, id="b", name="f"),
    )
    after = await append(log, said(*pieces))
    assert after == Head(3, calls=2)
    assert await log.fence(RUN_ID, 2) == await log.head(RUN_ID) == after


async def test_fencing_again_after_a_lost_answer_says_the_same(log: EventLog) -> None:
    assert await log.fence(RUN_ID, 1) == await log.fence(RUN_ID, 1)


async def test_a_later_attempt_takes_the_log_from_an_earlier_one(log: EventLog) -> None:
    await log.fence(RUN_ID, 1)
    before = await append(log, deltas("a"))
    await log.fence(RUN_ID, 2)
    with pytest.raises(Fenced):
        await append(log, deltas("b", first=2), before)
    with pytest.raises(Fenced):
        await log.close(said(Completed(), first=2), Head(2, 1), END)
    with pytest.raises(Fenced):
        await log.fence(RUN_ID, 1)
    await append(log, deltas("c", first=2, attempt=2), before)
    assert [one.attempt for one in await stored(log)] == [1, 2]


async def test_nobody_writes_without_a_fence(log: EventLog) -> None:
    """Otherwise a log that Redis has lost would begin again in the middle of an answer."""
    with pytest.raises(LogLost):
        await append(log, deltas("a"))
    with pytest.raises(LogLost):
        await log.close(said(Completed()), Head(1), END)
    assert await stored(log) == []


async def test_a_run_may_say_that_it_is_queued_before_any_attempt(log: EventLog) -> None:
    await append(log, said(Queued(), attempt=0))
    assert await log.fence(RUN_ID, 1) == Head(1)
    await append(log, deltas("a", first=2), Head(1))
    assert [one.seq for one in await stored(log)] == [1, 2]


async def test_what_comes_after_the_first_fence_is_no_word_from_before_it(log: EventLog) -> None:
    """The API's `queued` event may be late: the worker has begun without it."""
    await log.fence(RUN_ID, 1)
    with pytest.raises(Fenced):
        await append(log, said(Queued(), attempt=0))


async def test_a_closed_log_shows_its_end_to_the_next_fence(log: EventLog) -> None:
    await log.fence(RUN_ID, 1)
    await log.close(said(Completed()), Head(1), END)
    assert await log.fence(RUN_ID, 2) == Head(1, end=END)
    assert await log.end(RUN_ID) == END


# --- append -----------------------------------------------------------------------------------------------------------


async def test_events_come_back_as_they_were(log: EventLog) -> None:
    await log.fence(RUN_ID, 1)
    events = said(
        Delta(delta="a\r\n\u2028🙂"),
        ToolUse(phase="result", name="t", result={"x": [1, None]}),
        Queued(reason=StopReason.DRAIN),
    )
    await append(log, events)
    assert await stored(log) == events


async def test_what_is_published_is_what_is_stored(log: EventLog, redis: Redis) -> None:
    events = deltas("a", "b\n\nc", "d")
    await log.fence(RUN_ID, 1)
    async with messages_on_channel(redis) as published:
        before = await append(log, events[:2])
        await append(log, events[2:], before)
    lines = [line for message in published for line in message.split(b"\n")]
    assert lines == [to_json(one) for one in events]
    entries = await redis.xrange(KEYS.stream(RUN_ID))
    assert [fields[b"e"] for _, fields in entries] == lines
    assert [entry_id for entry_id, _ in entries] == [b"0-1", b"0-2", b"0-3"]
    assert len(published) == 2


async def test_the_last_event_is_published_with_the_close(log: EventLog, redis: Redis) -> None:
    await log.fence(RUN_ID, 1)
    last = said(Completed())
    async with messages_on_channel(redis) as published:
        await log.close(last, Head(1), END)
    assert published == [to_json(last[0])]


async def test_a_batch_that_comes_again_is_stored_and_published_once(log: EventLog, redis: Redis) -> None:
    events = deltas("a", "b")
    await log.fence(RUN_ID, 1)
    async with messages_on_channel(redis) as published:
        await append(log, events)
        await append(log, events)
    assert await stored(log) == events
    assert len(published) == 1
    assert await log.head(RUN_ID) == head_after(events)


@pytest.mark.parametrize("already", range(4))
async def test_of_a_batch_that_stands_in_part_the_rest_is_added(log: EventLog, already: int) -> None:
    """A writer repeats a batch whose answer was lost, together with its newer events."""
    events = deltas("a", "b", "c")
    await log.fence(RUN_ID, 1)
    if already:
        await append(log, events[:already])
    await append(log, events)
    assert await stored(log) == events
    assert await log.head(RUN_ID) == Head(3, 3)


async def test_an_old_batch_that_arrives_late_changes_nothing(log: EventLog) -> None:
    """Two connections may overtake each other."""
    events = deltas("a", "b", "c")
    await log.fence(RUN_ID, 1)
    await append(log, events)
    await log.append(events[:1], Head(1, 1))
    assert await log.head(RUN_ID) == Head(3, 3)
    assert await stored(log) == events


async def test_a_hole_in_the_numbers_is_refused(log: EventLog) -> None:
    await log.fence(RUN_ID, 1)
    await append(log, deltas("a"))
    with pytest.raises(LogLost):
        await log.append(deltas("c", first=3), Head(3, 2))
    with pytest.raises(LogLost):
        await log.close(said(Completed(), first=3), Head(3, 2), END)
    assert [one.seq for one in await stored(log)] == [1]


async def test_a_log_that_came_back_shorter_is_lost(log: EventLog, look: Look) -> None:
    """This happens after a restart from a snapshot, or a failover to a replica that lagged behind."""
    await log.fence(RUN_ID, 1)
    events = deltas("a", "b", "c")
    await append(log, events)
    look.xtrim(KEYS.stream(RUN_ID), maxlen=0)
    look.hset(KEYS.head(RUN_ID), mapping={"seq": 1, "chars": 1})
    with pytest.raises(LogLost):
        await log.append(deltas("d", first=4), Head(4, 4))


async def test_a_log_that_is_gone_is_lost(log: EventLog, look: Look) -> None:
    await log.fence(RUN_ID, 1)
    before = await append(log, deltas("a"))
    look.delete(KEYS.head(RUN_ID), KEYS.stream(RUN_ID))
    with pytest.raises(LogLost):
        await append(log, deltas("b", first=2), before)
    with pytest.raises(LogLost):
        await log.close(said(Completed(), first=2), Head(2), END)
    assert not look.exists(KEYS.head(RUN_ID), KEYS.stream(RUN_ID))


async def test_concurrent_writers_of_one_attempt_leave_no_hole(log: EventLog, redis: Redis) -> None:
    """Each writer repeats all of its events, as an emitter does after a lost answer."""
    events = deltas(*map(str, range(40)))
    await log.fence(RUN_ID, 1)
    pipe = Pipe(redis)
    another = EventLog(pipe, KEYS, retention_ms=60_000)
    writes = [append((log, another)[upto % 2], events[:upto]) for upto in range(1, 41)]
    await asyncio.gather(*writes)
    await pipe.aclose()
    assert await stored(log) == events


# --- close ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "end",
    [
        End(state=State.COMPLETED, text="a\u2028🙂", finish_reason="length"),
        End(state=State.FAILED, text="", code="agent_failed", message="It broke.", detail="Traceback …"),
        End(state=State.CANCELLED, reason=StopReason.TIMEOUT),
    ],
)
async def test_the_terminal_record_comes_back_as_it_was(log: EventLog, end: End) -> None:
    await log.fence(RUN_ID, 1)
    assert await log.end(RUN_ID) is None
    await log.close(said(Completed()), Head(1), end)
    assert await log.end(RUN_ID) == end


async def test_a_closed_log_takes_nothing_more(log: EventLog) -> None:
    await log.fence(RUN_ID, 1)
    await log.close(deltas("a") + said(Completed(), first=2), Head(2, 1), END)
    for attempt in (1, 2):
        await log.fence(RUN_ID, attempt)
        with pytest.raises(Closed):
            await log.append(deltas("b", first=3, attempt=attempt), Head(3, 2))
        with pytest.raises(Closed):
            await log.close(said(Completed(), first=3, attempt=attempt), Head(3), End(state=State.FAILED))
    assert await log.head(RUN_ID) == Head(2, 1, end=END)
    assert len(await stored(log)) == 2


async def test_a_close_that_comes_again_finds_the_log_closed(log: EventLog) -> None:
    """Its writer then reads the record that counts: its own."""
    last = said(Completed())
    await log.fence(RUN_ID, 1)
    await log.close(last, Head(1), END)
    with pytest.raises(Closed):
        await log.close(last, Head(1), END)
    assert await log.end(RUN_ID) == END
    assert await stored(log) == last


async def test_a_close_repeats_what_may_be_missing(log: EventLog) -> None:
    events = deltas("a", "b") + said(Completed(), first=3)
    await log.fence(RUN_ID, 1)
    await append(log, events[:1])
    await log.close(events, Head(3, 2), END)
    assert await stored(log) == events


# --- read -------------------------------------------------------------------------------------------------------------


@pytest.fixture
async def long_log(log: EventLog) -> list[Event]:
    """More than two pages."""
    events = deltas(*(f"{n} " for n in range(2 * PAGE + 7)))
    await log.fence(RUN_ID, 1)
    await append(log, events)
    return events


async def test_a_log_is_read_in_pages(log: EventLog, long_log: list[Event]) -> None:
    read: list[Event] = []
    pages = []
    while page := await log.read(RUN_ID, read[-1].seq if read else 0):
        pages.append(len(page))
        read += page
    assert read == long_log
    assert pages == [PAGE, PAGE, 7]


@pytest.mark.parametrize("after", [0, 1, 499, 500, 1006, 1007, 5000])
async def test_a_log_is_read_from_any_place(log: EventLog, long_log: list[Event], after: int) -> None:
    assert await log.read(RUN_ID, after, most=3) == long_log[after : after + 3]


async def test_the_text_of_a_long_log_is_whole(log: EventLog, long_log: list[Event]) -> None:
    assert await log.text(RUN_ID, await log.head(RUN_ID)) == "".join(f"{n} " for n in range(2 * PAGE + 7))


async def test_the_text_is_the_messages_joined(log: EventLog) -> None:
    events = said(Delta(delta="a"), ToolUse(phase="start", name="t"), Delta(delta="b"), Delta(delta="c", message=1))
    await log.fence(RUN_ID, 1)
    head = await append(log, events)
    assert await log.text(RUN_ID, head) == f"ab{BETWEEN_MESSAGES}c"
    assert await log.text(RUN_ID, Head()) == ""


async def test_the_text_ends_where_the_head_stands(log: EventLog, long_log: list[Event]) -> None:
    """An attempt that has been fenced since may have written more."""
    assert await log.text(RUN_ID, Head(2, 4)) == "0 1 "


async def test_there_may_be_no_log(log: EventLog) -> None:
    assert await stored(log) == []
    assert await log.end("none") is None
    assert await log.head("none") == Head()


# --- a start ----------------------------------------------------------------------------------------------------------


def a_start(attempt: int) -> Event:
    (start,) = said(Started(attempt=attempt, worker="w"), attempt=attempt)
    return start


async def test_a_fence_adds_the_start_of_its_attempt_once(log: EventLog, redis: Redis) -> None:
    """The log gives the event its number. A fence repeated because its answer was lost changes nothing."""
    await append(log, said(Queued(), attempt=0))
    start = a_start(1)
    async with messages_on_channel(redis) as published:
        for _ in range(2):
            assert await log.fence(RUN_ID, 1, start=start) == Head(2, started=1)
    numbered = start.model_copy(update={"seq": 2})
    assert await log.read(RUN_ID, 1) == [numbered]
    assert published == [to_json(numbered)]


async def test_each_attempt_has_a_start_of_its_own(log: EventLog) -> None:
    for attempt in (1, 2):
        await log.fence(RUN_ID, attempt)
        assert (await log.fence(RUN_ID, attempt, start=a_start(attempt))).seq == attempt
    assert [one.attempt for one in await stored(log)] == [1, 2]
    with pytest.raises(Fenced):
        await log.fence(RUN_ID, 1, start=a_start(1))


async def test_no_attempt_starts_in_a_closed_log(log: EventLog) -> None:
    await log.fence(RUN_ID, 1)
    await log.close(said(Completed()), Head(1), END)
    assert (await log.fence(RUN_ID, 2, start=a_start(2))).end == END
    assert len(await stored(log)) == 1


# --- life -------------------------------------------------------------------------------------------------------------


async def test_touched_logs_live_on(log: EventLog, look: Look) -> None:
    runs = (RUN_ID, "chatcmpl_other")
    names = [name for run_id in runs for name in (KEYS.stream(run_id), KEYS.head(run_id))]
    for run_id in runs:
        await append(log, said(Queued(), attempt=0, run_id=run_id))
    for name in names:
        look.pexpire(name, 1_000)
    await log.touch(runs)
    assert all(look.pttl(name) > 1_000 for name in names)


async def test_a_log_lives_from_its_first_event_and_again_from_its_fence_and_its_end(log: EventLog, look: Look) -> None:
    """Between these the worker that holds the run touches the log."""
    names = (KEYS.stream(RUN_ID), KEYS.head(RUN_ID))

    def lives() -> bool:
        alive = all(look.pttl(name) > 1_000 for name in names)
        for name in names:
            look.pexpire(name, 1_000)
        return alive

    await append(log, said(Queued(), attempt=0))
    assert lives()
    await log.fence(RUN_ID, 1)
    assert lives()
    await log.close(said(Completed(), first=2), Head(2), END)
    assert lives()


async def test_a_discarded_log_is_gone(log: EventLog, look: Look) -> None:
    await append(log, said(Queued(), attempt=0))
    await log.discard(RUN_ID)
    assert look.dbsize() == 0


async def test_logs_do_not_mix(log: EventLog) -> None:
    for run_id, text in (("r1", "one"), ("r2", "two")):
        await log.fence(run_id, 1)
        await append(log, deltas(text, run_id=run_id))
    assert [await log.text(run_id, await log.head(run_id)) for run_id in ("r1", "r2")] == ["one", "two"]


async def test_a_log_needs_only_its_own_keys(redis: Redis, log: EventLog, look: Look) -> None:
    """All of them carry the run's hash tag, so that logs may spread over a cluster."""
    await log.fence(RUN_ID, 1)
    await log.close(deltas("a") + said(Completed(), first=2), Head(2, 1), END)
    names = {name.decode() for name in look.keys()}  # noqa: SIM118 - Redis's
    assert names == {KEYS.stream(RUN_ID), KEYS.head(RUN_ID)}
    assert all(f"{{{RUN_ID}}}" in name for name in (*names, KEYS.channel(RUN_ID)))


async def test_numbers_have_no_holes_whatever_the_batches(log: EventLog) -> None:
    await log.fence(RUN_ID, 1)
    events, cuts = deltas(*map(str, range(60))), (0, 1, 3, 10, 31, 59, 60)
    before = Head()
    for start, end in pairwise(cuts):
        before = await append(log, events[start:end], before)
    assert [one.seq for one in await stored(log)] == list(range(1, 61))


# --- the first text ---------------------------------------------------------------------------------------------------


async def test_a_log_knows_when_the_first_text_was_written(log: EventLog, look: Look) -> None:
    await log.fence(RUN_ID, 1)
    head = await append(log, said(Queued(), Delta(delta="")))
    assert await log.first_text_ms(RUN_ID) == 0
    before, _ = look.time()
    head = await append(log, deltas("a", first=3), head)
    after, _ = look.time()
    first = await log.first_text_ms(RUN_ID)
    assert before * 1000 <= first <= (after + 1) * 1000
    look.hset(KEYS.head(RUN_ID), "first", "7")
    await append(log, deltas("b", first=4), head)
    assert await log.first_text_ms(RUN_ID) == 7


async def test_text_that_comes_with_the_end_is_the_first_too(log: EventLog) -> None:
    await log.fence(RUN_ID, 1)
    events = said(Delta(delta="ab"), Completed())
    await log.close(events, head_after(events), END)
    assert await log.first_text_ms(RUN_ID) > 0


async def test_the_last_event_of_a_log(log: EventLog) -> None:
    assert await log.last(RUN_ID) is None
    await log.fence(RUN_ID, 1)
    await append(log, deltas("a", "b"))
    last = await log.last(RUN_ID)
    assert last is not None
    assert (last.seq, last.data) == (2, Delta(delta="b"))


# --- compact ----------------------------------------------------------------------------------------------------------


def answer() -> list[Event]:
    """More than two pages of events: the deltas of an answer, a tool call and one large delta in between."""
    words = [Delta(delta=f"{number} ", message=number // 400) for number in range(2 * PAGE)]
    tool = (ToolUse(phase="start", name="look", args={"data": {"delta": '"'}}), ToolUse(phase="result", name="look"))
    large = Delta(delta="🙂" * BLOCK_BYTES, message=1)
    return said(
        Started(attempt=1, worker="w1"),
        Reasoning(delta="Well, "),
        Reasoning(delta='"so"'),
        *words[:700],
        *tool,
        large,
        *words[700:],
        Completed(),
    )


async def close(log: EventLog, events: Sequence[Event], end: End = END) -> Head:
    await log.fence(RUN_ID, 1)
    after = head_after(events)
    await log.close(events, after, end)
    return after


class RecordingPipe(Pipe):
    """A pipe that records Redis's replies."""

    def __init__(self, redis: Redis) -> None:
        super().__init__(redis)
        self.replies: list[Reply] = []

    async def command(self, name: str, *arguments: Argument) -> Reply:
        self.replies.append(await super().command(name, *arguments))
        return self.replies[-1]


async def entries(redis: Redis) -> list[tuple[int, bytes]]:
    """The entries of the stream, each as number and field."""
    found = await redis.xrange(KEYS.stream(RUN_ID))
    return [(int(id.removeprefix(b"0-")), field) for id, fields in found for field in fields]


async def test_a_compacted_log_is_read_as_before(log: EventLog, redis: Redis) -> None:
    events = answer()
    head = await close(log, events)
    text = await log.text(RUN_ID, head)
    await log.compact(RUN_ID)
    assert await entries(redis) == [(500, BLOCK), (705, BLOCK), (706, EVENT), (1000, BLOCK), (1007, BLOCK)]
    read = [event async for page in log.pages(RUN_ID, head.seq) for event in page]
    assert read == events
    assert list(map(to_json, read)) == list(map(to_json, events))
    assert await log.last(RUN_ID) == events[-1]
    assert await log.text(RUN_ID, head) == text
    assert await log.fence(RUN_ID, 1) == replace(head, end=END)


async def test_a_compacted_log_is_read_from_any_place(log: EventLog) -> None:
    events = answer()
    await close(log, events)
    await log.compact(RUN_ID)
    for after in (0, 1, 498, 499, 500, 501, 704, 705, 706, 707, 1005, 1006, 1007, 5000):
        for most in (1, 3, PAGE - 1, PAGE, 3 * PAGE):
            assert await log.read(RUN_ID, after, most=most) == events[after : after + most], (after, most)


@pytest.mark.parametrize("after", [0, 7, 600])
async def test_no_more_blocks_are_fetched_than_a_page_is_made_of(log: EventLog, redis: Redis, after: int) -> None:
    """That holds for a log of any length."""
    await close(log, [*deltas(*map(str, range(6 * BLOCK_EVENTS - 1))), *said(Completed(), first=6 * BLOCK_EVENTS)])
    await log.compact(RUN_ID)
    async with aclosing(RecordingPipe(redis)) as pipe:
        page = await EventLog(pipe, KEYS, retention_ms=60_000).read(RUN_ID, after)
    assert len(page) == PAGE
    [reply] = pipe.replies
    assert isinstance(reply, list)
    assert len(reply) <= 2 + PAGE // BLOCK_EVENTS


async def test_compacting_while_a_log_is_read_changes_nothing_for_its_reader(log: EventLog) -> None:
    events = answer()
    head = await close(log, events)
    read = list[Event]()
    async for page in log.pages(RUN_ID, head.seq):
        read += page
        await log.compact(RUN_ID)
    assert read == events


async def test_a_compacted_log_takes_a_fraction_of_the_bytes(real_broker: Broker) -> None:
    async with opened_client(real_broker) as client, aclosing(Pipe(client)) as pipe:
        log = EventLog(pipe, KEYS, retention_ms=60_000)
        await close(log, [*deltas(*(f"{number:03d} " for number in range(999))), *said(Completed(), first=1000)])
        before = await client.memory_usage(KEYS.stream(RUN_ID), samples=0)
        await log.compact(RUN_ID)
        after = await client.memory_usage(KEYS.stream(RUN_ID), samples=0)
    assert before is not None
    assert after is not None
    assert after < before / 10


async def test_a_compacted_log_lives_as_long_as_before(log: EventLog, look: Look) -> None:
    await close(log, answer())
    await log.compact(RUN_ID)
    assert 60_000 < look.pttl(KEYS.stream(RUN_ID)) <= 60_000 + LOG_OUTLIVES_MS


async def test_compacting_again_changes_nothing(log: EventLog, redis: Redis) -> None:
    events = answer()
    await close(log, events)
    await log.compact(RUN_ID)
    once = await redis.xrange(KEYS.stream(RUN_ID))
    await log.compact(RUN_ID)
    assert await redis.xrange(KEYS.stream(RUN_ID)) == once


@pytest.mark.parametrize("fault", ["before", "after"])
@pytest.mark.parametrize("calls_before", range(5))
async def test_compacting_that_is_broken_off_loses_nothing(
    log: EventLog, redis: Redis, calls_before: int, fault: Fault
) -> None:
    events, nothing = answer(), list[Fault]([""] * calls_before)
    head = await close(log, events)
    async with aclosing(LossyPipe(redis, [*nothing, fault])) as pipe:
        with pytest.raises(Unavailable):
            await EventLog(pipe, KEYS, retention_ms=60_000).compact(RUN_ID)
    assert [event async for page in log.pages(RUN_ID, head.seq) for event in page] == events


async def test_a_log_that_goes_on_is_not_compacted(log: EventLog, redis: Redis) -> None:
    await log.fence(RUN_ID, 1)
    await append(log, deltas("a", "b"))
    with pytest.raises(LogLost):
        await log.compact(RUN_ID)
    assert await entries(redis) == [(1, EVENT), (2, EVENT)]


async def test_a_log_that_is_deleted_meanwhile_stays_so(log: EventLog, look: Look) -> None:
    await close(log, answer())
    look.delete(KEYS.head(RUN_ID))
    with pytest.raises(LogLost):
        await log.compact(RUN_ID)
    await log.discard(RUN_ID)
    with pytest.raises(LogLost):
        await log.compact(RUN_ID)
    assert look.dbsize() == 0


@pytest.mark.parametrize("gone", [1, 500, 501, 1007])
async def test_a_log_with_a_hole_is_left_to_whoever_reads_it(
    log: EventLog, redis: Redis, look: Look, gone: int
) -> None:
    await close(log, answer())
    look.xdel(KEYS.stream(RUN_ID), f"0-{gone}")
    with pytest.raises(LogLost):
        await log.compact(RUN_ID)
    assert len(await entries(redis)) == 1006


async def test_a_redis_that_is_full_takes_what_makes_room_in_it(own_valkey: Valkey) -> None:
    broker = RealBroker(own_valkey.url)
    async with opened_client(broker) as client, aclosing(Pipe(client)) as pipe:
        log, events = EventLog(pipe, KEYS, retention_ms=60_000), answer()
        head = await close(log, events)
        with looking(broker) as look:
            look.execute_command("CONFIG", "SET", "maxmemory", "1")
        await log.compact(RUN_ID)
        assert len(await entries(client)) == 5
        assert [event async for page in log.pages(RUN_ID, head.seq) for event in page] == events
