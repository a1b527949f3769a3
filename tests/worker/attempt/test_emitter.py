from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel
import pytest
import stamina
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from shared.log.event_log import EventLog, Head
from shared.redis.pipe import Pipe
from shared.run.errors import ErrorCode, Fenced, LogLost, RunError
from shared.run.events import (
    Cancelled,
    Completed,
    Delta,
    Event,
    Failed,
    FinishReason,
    Omitted,
    Queued,
    Reasoning,
    Retraction,
    StopReason,
    Tokens,
    ToolCallDelta,
    ToolUse,
    Usage,
    make_event,
    to_json,
)
from shared.run.flat_text import FlatText
from shared.run.json_object import LEVELS
from shared.run.output_bounds import ACTIVITY_CHARS, ANSWER_CHARS
from shared.run.run import End, ToolCall
from shared.run.states import State
from shared.run.tool_calls import ToolCallAssembler
from tests.broker import KEYS, FakeBroker, opened_client
from tests.lossy import Fault, LossyPipe
from tests.runs import a_run
from tests.spoken import spoken
from tests.wait import wait_until
from worker.agents.protocol import AgentEvent, Finished
from worker.attempt.attempt_limits import AttemptLimits
from worker.attempt.emitter import BUFFER_CHARS, TOOL_CHARS, Emitter

RUN = a_run()


class GatedLog(EventLog):
    """A log that takes a batch only while its gate is open, and notes each batch."""

    def __init__(self, pipe: Pipe) -> None:
        super().__init__(pipe, KEYS, retention_ms=60_000)
        self.batches: list[list[str]] = []
        self._open = anyio.Event()

    def open(self) -> None:
        self._open.set()

    async def append(self, events: Sequence[Event], head: Head) -> None:
        self.batches.append([one.data.delta for one in events if isinstance(one.data, Delta)])
        await self._open.wait()
        await super().append(events, head)


@asynccontextmanager
async def lossy_log() -> AsyncIterator[tuple[EventLog, LossyPipe]]:
    async with opened_client(FakeBroker()) as client:
        pipe = LossyPipe(client)
        log = EventLog(pipe, KEYS, retention_ms=60_000)
        await log.fence(RUN.run_id, 1)
        yield log, pipe
        await pipe.aclose()


@pytest.fixture
async def gated(pipe: Pipe) -> GatedLog:
    log = GatedLog(pipe)
    await log.fence(RUN.run_id, 1)
    return log


@asynccontextmanager
async def flushing(emitter: Emitter) -> AsyncIterator[None]:
    async with anyio.create_task_group() as pen:
        pen.start_soon(emitter.flush_forever)
        yield
        pen.cancel_scope.cancel()


async def fenced(log: EventLog, attempt: int = 1) -> Emitter:
    return Emitter(log, RUN, attempt, await log.fence(RUN.run_id, attempt), AttemptLimits(60), clock=lambda: 0)


async def stored(log: EventLog) -> list[Event]:
    return await log.read(RUN.run_id, 0)


async def text_of(log: EventLog) -> str:
    return await log.text(RUN.run_id, await log.head(RUN.run_id))


def flat(emitted: Sequence[AgentEvent]) -> str:
    text = FlatText()
    return "".join(text.add(one) for one in emitted if isinstance(one, Delta))


# --- merging and pace -------------------------------------------------------------------------------------------------


async def test_an_idle_log_gets_each_delta_at_once(log: EventLog) -> None:
    emitter = await fenced(log)
    async with flushing(emitter):
        for upto in range(1, 4):
            await emitter.emit(Delta(delta=str(upto)))
            await wait_until(lambda upto=upto: _stored_so_many(log, upto), f"{upto} events are stored")  # type: ignore[misc]
    assert [one.data for one in await stored(log)] == [Delta(delta="1"), Delta(delta="2"), Delta(delta="3")]


async def _stored_so_many(log: EventLog, events: int) -> bool:
    return len(await stored(log)) == events


async def test_what_is_said_while_a_write_is_under_way_becomes_one_event(gated: GatedLog) -> None:
    emitter = await fenced(gated)
    async with flushing(emitter):
        for letter in "abcd":
            await emitter.emit(Delta(delta=letter))
            await anyio.wait_all_tasks_blocked()
        assert gated.batches == [["a"]]
        gated.open()
        await wait_until(lambda: len(gated.batches) == 2, "what came meanwhile is written")
    assert gated.batches == [["a"], ["bcd"]]


async def test_an_agent_goes_on_while_a_write_is_under_way_until_it_is_too_far_ahead(gated: GatedLog) -> None:
    emitter = await fenced(gated)
    emitted = 0

    async def agent() -> None:
        nonlocal emitted
        for _ in range(60):
            await emitter.emit(Delta(delta="x" * 10_000))
            emitted += 10_000

    async with flushing(emitter), anyio.create_task_group() as group:
        await emitter.emit(Delta(delta="first"))
        await anyio.wait_all_tasks_blocked()
        group.start_soon(agent)
        await anyio.wait_all_tasks_blocked()
        assert BUFFER_CHARS < emitted <= BUFFER_CHARS + 10_000
        gated.open()
    assert emitted == 600_000


@pytest.mark.parametrize(
    "emitted", [Delta(delta=""), ToolUse(phase="update", name="t", args="x" * 1000)], ids=["empty", "tool"]
)
async def test_nothing_is_said_without_filling_the_buffer(gated: GatedLog, emitted: AgentEvent) -> None:
    """Otherwise an agent that emits empty events without end would leave no time for other tasks."""
    emitter = await fenced(gated)
    times = 0

    async def agent() -> None:
        nonlocal times
        while times < 2 * BUFFER_CHARS:
            await emitter.emit(emitted)
            times += 1

    async with anyio.create_task_group() as group:
        group.start_soon(agent)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    assert times <= BUFFER_CHARS + 1


# --- numbers, places, texts -------------------------------------------------------------------------------------------


async def test_events_carry_their_place(log: EventLog) -> None:
    emitter = Emitter(log, RUN, 3, await log.fence(RUN.run_id, 3), AttemptLimits(60), clock=lambda: 1_234)
    await emitter.emit(Delta(delta="Hi"))
    await emitter.close(Completed())
    place = {"run_id": RUN.run_id, "session_key": RUN.session_key, "attempt": 3, "ts": 1_234}
    things = (Delta(delta="Hi"), Completed())
    assert await stored(log) == [make_event(one, seq=seq, **place) for seq, one in enumerate(things, 1)]  # type: ignore[arg-type]


async def test_a_close_writes_what_was_not_written_yet(log: EventLog) -> None:
    emitter = await fenced(log)
    for letter in "abc":
        await emitter.emit(Delta(delta=letter))
    end = await emitter.close(Completed())
    assert (end.state, end.text) == (State.COMPLETED, "abc")
    assert [one.data for one in await stored(log)] == [Delta(delta="abc"), Completed()]
    assert await log.end(RUN.run_id) == end


@pytest.mark.parametrize(
    ("terminal", "expected"),
    [
        (Completed(), {"state": State.COMPLETED, "finish_reason": "stop"}),
        (Failed(code="c", message="m"), {"state": State.FAILED, "code": "c", "message": "m", "detail": "d"}),
        (Cancelled(reason=StopReason.USER), {"state": State.CANCELLED, "reason": StopReason.USER}),
    ],
)
async def test_the_record_says_what_the_last_event_says(
    log: EventLog, terminal: Completed | Failed | Cancelled, expected: dict[str, object]
) -> None:
    emitter = await fenced(log)
    await emitter.emit(Delta(delta="Half an"))
    await emitter.emit(Usage(prompt_tokens=1, total_tokens=1))
    await emitter.emit(Usage(prompt_tokens=2, completion_tokens=3, total_tokens=5))
    end = await emitter.close(terminal, detail="d")
    tokens = Tokens(prompt_tokens=2, completion_tokens=3, total_tokens=5)
    assert end == End.model_validate(expected | {"text": "Half an", "usage": tokens})
    last = (await stored(log))[-1].data
    assert last == terminal.model_copy(update={"usage": tokens})


async def test_a_closed_log_keeps_its_first_record(log: EventLog) -> None:
    first = await (await fenced(log)).close(Completed())
    again = Emitter(log, RUN, 1, Head(), AttemptLimits(60))
    assert await again.close(Failed(code="x", message="")) == first
    assert len(await stored(log)) == 1


async def test_an_attempt_that_speaks_after_another_begins_a_message_of_its_own(log: EventLog) -> None:
    first = await fenced(log, 1)
    async with flushing(first):
        await first.emit(Delta(delta="one"))
        await first.emit(Delta(delta="two", message=1))
        await wait_until(lambda: _stored_so_many(log, 2), "the first attempt has spoken")
    second = await fenced(log, 2)
    async with flushing(second):
        await second.emit(Delta(delta="three"))
        await wait_until(lambda: _stored_so_many(log, 3), "the second attempt has spoken")
        await second.emit(Delta(delta="four", message=1))
    end = await second.close(Completed())
    assert end.text == await text_of(log) == "one\n\ntwo\n\nthree\n\nfour"
    messages = [one.data.message for one in await stored(log) if isinstance(one.data, Delta)]
    assert messages == [0, 1, 2, 3]


async def test_an_attempt_after_a_silent_one_begins_with_the_first_message(log: EventLog) -> None:
    first = await fenced(log, 1)
    await first.emit(Reasoning(delta="Hm"))
    await first.hand_back(Queued(reason=StopReason.DRAIN))
    second = await fenced(log, 2)
    await second.emit(Delta(delta="Hi"))
    assert (await second.close(Completed())).text == "Hi"
    events = await stored(log)
    assert [one.seq for one in events] == list(range(1, 5))
    assert events[2].data == Delta(delta="Hi", message=0)


async def test_a_run_that_is_handed_back_says_so_last(log: EventLog) -> None:
    emitter = await fenced(log)
    await emitter.emit(Reasoning(delta="Hm"))
    await emitter.hand_back(Queued(reason=StopReason.DRAIN))
    assert [one.data for one in await stored(log)] == [Reasoning(delta="Hm"), Queued(reason=StopReason.DRAIN)]


async def test_an_attempt_is_silent_until_it_says_text(log: EventLog) -> None:
    emitter = await fenced(log)
    await emitter.emit(Reasoning(delta="Hm"))
    await emitter.emit(ToolUse(phase="start", name="t"))
    silent = [emitter.silent]
    await emitter.emit(Delta(delta="Hi"))
    silent.append(emitter.silent)
    async with flushing(emitter):
        await wait_until(lambda: _stored_so_many(log, 3), "all is written")
    silent += [emitter.silent, (await fenced(log, 2)).silent]
    assert silent == [True, False, False, False]


# --- bounds -----------------------------------------------------------------------------------------------------------


async def test_a_run_says_so_much_and_no_more(log: EventLog) -> None:
    emitter = await fenced(log)
    async with flushing(emitter):
        for _ in range(ANSWER_CHARS // 2**18):
            await emitter.emit(Delta(delta="x" * 2**18))
        with pytest.raises(RunError) as refused:
            await emitter.emit(Delta(delta="y"))
    assert refused.value.code is ErrorCode.OUTPUT_TOO_LARGE
    end = await emitter.close(Failed(code=refused.value.code, message=""))
    assert end.text == "x" * ANSWER_CHARS


async def test_activity_beyond_its_budget_is_thinned_out_and_ends_no_run(log: EventLog) -> None:
    """100 results of 60 KB, and then the answer."""
    emitter = await fenced(log)
    async with flushing(emitter):
        for number in range(100):
            await emitter.emit(ToolUse(phase="start", name="read", tool_call_id=str(number)))
            await emitter.emit(ToolUse(phase="result", name="read", tool_call_id=str(number), result="x" * 60_000))
            await emitter.emit(Usage(prompt_tokens=number))
        await emitter.emit(Delta(delta="Read them all."))
    end = await emitter.close(Completed())
    assert (end.text, end.usage.prompt_tokens) == ("Read them all.", 99)
    events = [one.data for one in await stored(log)]
    results = [one.tool_call_id for one in events if isinstance(one, ToolUse) and one.phase == "result"]
    (omitted,) = [one for one in events if isinstance(one, Omitted)]
    assert (results[0], results[-1]) == ("0", "99")
    assert len([one for one in events if isinstance(one, ToolUse | Usage)]) + omitted.events == 300
    assert sum(len(to_json(one)) for one in await stored(log)) < 1.2 * ACTIVITY_CHARS


async def test_updates_of_a_tool_leave_room_for_other_tools(log: EventLog) -> None:
    """A build that prints, each update with everything so far, and then a tool whose result matters."""
    emitter = await fenced(log)
    async with flushing(emitter):
        for lines in range(1_000):
            await emitter.emit(ToolUse(phase="update", name="build", result="a line of it\n" * lines))
        await emitter.emit(ToolUse(phase="result", name="build", result="done"))
        await emitter.emit(ToolUse(phase="result", name="read", result="x" * 50_000))
    await emitter.close(Completed())
    events = [one.data for one in await stored(log)]
    assert [one.name for one in events if isinstance(one, ToolUse) and one.phase == "result"] == ["build", "read"]
    assert [one.result for one in events if isinstance(one, ToolUse)][-1] == "a line of it\n" * 999


async def test_a_retracted_message_is_no_part_of_the_record(log: EventLog) -> None:
    first = await fenced(log, 1)
    async with flushing(first):
        await first.emit(Delta(delta="The capital of Fra"))
        await first.emit(Retraction(message=0))
        await wait_until(lambda: _stored_so_many(log, 2), "the first attempt has spoken")
    second = await fenced(log, 2)
    async with flushing(second):
        for data in (Delta(delta="The cap"), Retraction(message=0), Delta(delta="The capital is Paris.", message=1)):
            await second.emit(data)
    end = await second.close(Completed())
    assert end.text == await log.text(RUN.run_id, await log.head(RUN.run_id)) == "The capital is Paris."


@pytest.mark.parametrize("field", ["args", "result"])
async def test_arguments_and_results_that_are_too_large_are_left_out(log: EventLog, field: str) -> None:
    emitter = await fenced(log)
    large = ToolUse.model_validate({"phase": "result", "name": "t", "toolCallId": "1", field: ["x" * TOOL_CHARS]})
    await emitter.emit(large)
    await emitter.close(Completed())
    note = {"omitted": f"larger than {TOOL_CHARS} characters"}
    assert (await stored(log))[0].data == large.model_copy(update={field: note})


def nested(levels: int) -> JsonValue:
    value: JsonValue = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize("field", ["args", "result"])
@pytest.mark.parametrize(
    ("value", "why"),
    [(nested(LEVELS + 1), f"nested more than {LEVELS} levels deep"), (10**5_000, "no JSON that can be read again")],
    ids=["deep", "long number"],
)
async def test_what_readers_could_not_read_is_left_out(log: EventLog, field: str, value: JsonValue, why: str) -> None:
    emitter = await fenced(log)
    unfit = ToolUse(phase="result", name="t", tool_call_id="1").model_copy(update={field: value})
    await emitter.emit(unfit)
    await emitter.close(Completed())
    assert (await stored(log))[0].data == unfit.model_copy(update={field: {"omitted": why}})


async def test_what_is_just_not_too_deep_is_read_again(log: EventLog) -> None:
    emitter, deep = await fenced(log), ToolUse(phase="start", name="t", args=nested(LEVELS))
    await emitter.emit(deep)
    await emitter.close(Completed())
    assert (await stored(log))[0].data == deep


async def test_more_tokens_than_json_can_tell_are_the_most_it_can(log: EventLog) -> None:
    emitter = await fenced(log)
    await emitter.emit(Usage(prompt_tokens=10**400, completion_tokens=1))
    usage = (await emitter.close(Completed())).usage
    assert (usage.prompt_tokens, usage.total_tokens) == (2**53 - 1, 2**53 - 1)


async def test_no_event_is_large_because_of_its_name(log: EventLog) -> None:
    emitter = await fenced(log)
    await emitter.emit(ToolUse(phase="start", name="x" * TOOL_CHARS, tool_call_id="y" * TOOL_CHARS))
    await emitter.close(Completed())
    assert len((await stored(log))[0].model_dump_json()) < TOOL_CHARS


# --- trouble ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["before", "after"])
async def test_while_redis_is_away_nothing_is_lost_and_nothing_doubled(fault: Fault) -> None:
    with stamina.set_testing(True, attempts=1000):
        async with lossy_log() as (log, pipe):
            emitter = await fenced(log)
            async with flushing(emitter):
                await emitter.emit(Delta(delta="a"))
                await wait_until(lambda: _stored_so_many(log, 1), "a is written")
                pipe.faults = [fault] * 3
                await emitter.emit(Delta(delta="b"))
                await wait_until(lambda: not pipe.faults, "the write was tried again")
                pipe.faults = [fault] * 3
                await emitter.emit(Delta(delta="c"))
            end = await emitter.close(Completed())
            events = await stored(log)
    assert end.text == "abc"
    assert "".join(one.data.delta for one in events if isinstance(one.data, Delta)) == "abc"
    assert [one.seq for one in events] == list(range(1, len(events) + 1))


async def test_a_write_that_is_cut_off_is_repeated_by_the_close(gated: GatedLog) -> None:
    """The agent has ended while its last write was under way, and the worker does not know whether it arrived."""
    emitter = await fenced(gated)
    async with flushing(emitter):
        await emitter.emit(Delta(delta="a"))
        await anyio.wait_all_tasks_blocked()
        await emitter.emit(Delta(delta="b"))
    end = await emitter.close(Completed())
    assert end.text == await text_of(gated) == "ab"


async def test_why_the_model_stopped_stands_in_the_end_and_is_no_event(log: EventLog) -> None:
    emitter = await fenced(log)
    for reason in (FinishReason.STOP, FinishReason.LENGTH):
        await emitter.emit(Finished(reason=reason))
    await emitter.emit(Delta(delta="a"))
    end = await emitter.close(Completed())
    assert end.finish_reason == "length"
    assert [one.data for one in await stored(log)] == [
        Delta(delta="a"),
        Completed(finish_reason=FinishReason.LENGTH),
    ]


CALL = ToolCallDelta(index=0, id="c1", name="f", arguments="{")


async def test_what_the_client_is_to_call_stands_in_the_end(log: EventLog) -> None:
    emitter = await fenced(log)
    for one in (CALL, ToolCallDelta(index=0, arguments="}"), ToolCallDelta(index=1, id="c2", name="g")):
        await emitter.emit(one)
    end = await emitter.close(Completed())
    calls = (ToolCall(id="c1", name="f", arguments="{}"), ToolCall(id="c2", name="g", arguments=""))
    assert (end.text, end.tool_calls, end.finish_reason) == ("", calls, "tool_calls")
    head = await log.head(RUN.run_id)
    assert (head.calls, head.end) == (2, end)


@pytest.mark.parametrize(
    ("emitted", "sent", "reason"),
    [
        (CALL, "stop", "tool_calls"),
        (CALL, "length", "length"),
        (CALL, "content_filter", "content_filter"),
        (Delta(delta="a"), "tool_calls", "stop"),
    ],
)
async def test_the_reason_says_whether_there_is_something_to_call(
    log: EventLog, emitted: AgentEvent, sent: str, reason: str
) -> None:
    emitter = await fenced(log)
    await emitter.emit(emitted)
    await emitter.emit(Finished(reason=FinishReason(sent)))
    assert (await emitter.close(Completed())).finish_reason == reason


async def test_a_call_is_no_silence(gated: GatedLog) -> None:
    """This holds before the call is written and afterwards."""
    emitter = await fenced(gated)
    called = [emitter.called]
    await emitter.emit(CALL)
    called.append(emitter.called)
    gated.open()
    await emitter.hand_back(Queued())
    called.append(emitter.called)
    assert called == [False, True, True]


async def test_a_call_whose_name_is_too_large_fails_the_run(log: EventLog) -> None:
    emitter = await fenced(log)
    await emitter.emit(ToolCallDelta(index=0, id="c", name="f", arguments="x" * TOOL_CHARS))
    for large in (
        ToolCallDelta(index=1, id="c" * TOOL_CHARS),
        ToolCallDelta(index=1, id="c", extra={"x": "y" * TOOL_CHARS}),
    ):
        with pytest.raises(RunError) as failed:
            await emitter.emit(large)
        assert failed.value.code is ErrorCode.OUTPUT_TOO_LARGE


async def test_a_run_that_has_not_completed_has_no_reason_to_finish(log: EventLog) -> None:
    emitter = await fenced(log)
    await emitter.emit(Finished(reason=FinishReason.LENGTH))
    assert await emitter.close(Cancelled(reason=StopReason.USER)) == End(state=State.CANCELLED, reason=StopReason.USER)


async def test_a_later_attempt_ends_the_flushing(log: EventLog) -> None:
    emitter = await fenced(log, 1)
    await log.fence(RUN.run_id, 2)
    await emitter.emit(Delta(delta="a"))
    with pytest.raises(Fenced):
        await emitter.flush_forever()
    with pytest.raises(Fenced):
        await emitter.close(Completed())
    assert await stored(log) == []


async def test_a_lost_log_ends_the_flushing(log: EventLog) -> None:
    emitter = await fenced(log)
    await log.discard(RUN.run_id)
    await emitter.emit(Delta(delta="a"))
    with pytest.raises(LogLost):
        await emitter.flush_forever()


FAULTS: st.SearchStrategy[list[Fault]] = st.lists(st.sampled_from(["", "before", "after"]), max_size=12)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(emitted=spoken(calls=3), earlier=spoken(), faults=FAULTS, pauses=st.sets(st.integers(0, 30)))
async def test_the_log_holds_what_was_said_however_it_was_cut(
    emitted: list[AgentEvent], earlier: list[AgentEvent], faults: list[Fault], pauses: set[int]
) -> None:
    """Here with an earlier attempt, faults of Redis, and pauses of the agent, which let the emitter write."""
    with stamina.set_testing(True, attempts=1000):
        async with lossy_log() as (log, pipe):
            first = await fenced(log, 1)
            for one in earlier:
                await first.emit(one)
            await first.hand_back(Queued())
            second = await fenced(log, 2)
            pipe.faults = list(faults)
            async with flushing(second):
                for number, one in enumerate(emitted):
                    await second.emit(one)
                    if number in pauses:
                        await anyio.lowlevel.checkpoint()
            end = await second.close(Completed())
            pipe.faults = []
            events = await stored(log)
            text = await text_of(log)
    expected = [part for part in (flat(earlier), flat(emitted)) if part]
    assert end.text == text == "\n\n".join(expected)
    assert [one.seq for one in events] == list(range(1, len(events) + 1))
    assert isinstance(events[-1].data, Completed)
    calls = ToolCallAssembler()
    for one in emitted:
        if isinstance(one, ToolCallDelta):
            calls.add(one)
    assert end.tool_calls == calls.whole
    others = [one.data for one in events if isinstance(one.data, ToolUse | Usage)]
    assert others == [one for one in (*earlier, *emitted) if isinstance(one, ToolUse | Usage)]
