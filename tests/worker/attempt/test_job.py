from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace

import anyio
import pytest
import stamina
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from shared.ledger.ledger import Claim, Ledger
from shared.log.event_log import EventLog, Head
from shared.run.conversation import StoredConversation
from shared.run.errors import ErrorCode, RunError
from shared.run.events import (
    Cancelled,
    Completed,
    Delta,
    Failed,
    LifecycleEvent,
    Queued,
    Reasoning,
    Started,
    StopReason,
    ToolCallDelta,
    Usage,
)
from shared.run.run import End, Part, Policy, Run, ToolCall, Turn
from shared.run.states import ENDS, State
from tests.broker import KEYS, Broker, FakeBroker, Look, looking, opened_client
from tests.events import said
from tests.lossy import Fault, LossyPipe
from tests.runs import LEASE_MS, a_run, claim_one, end_lease, end_patience, running, submit
from tests.spans import Spans, facts, parent, place
from tests.wait import wait_until
from tests.worker.acting import Acts, Says, Waits
from worker.agents.protocol import Agent, AgentConversation, AgentEvent, AgentInput, AgentOutput
from worker.attempt.attempt_limits import AttemptLimits
from worker.attempt.execution import Execution
from worker.attempt.job import Job

HI = Delta(delta="Hi")
SENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
CALL = ToolCallDelta(index=0, id="c1", name="f")


@pytest.fixture
def bench(ledger: Ledger, log: EventLog) -> Bench:
    return Bench(ledger, log)


class Bench:
    """Runs one attempt, and reads the state of the run afterwards."""

    def __init__(self, ledger: Ledger, log: EventLog) -> None:
        self.ledger = ledger
        self.log = log

    def job(
        self, agents: Mapping[str, Agent], *, limit: float = 60, timeouts: Mapping[str, float] | None = None
    ) -> Job:
        limits = {agent: AttemptLimits((timeouts or {}).get(agent, limit)) for agent in agents}
        return Job("w1", self.ledger, self.log, agents, limits, LEASE_MS / 1000)

    async def attempt(self, agent: Agent, run: Run | None = None, *, limit: float = 60) -> End:
        claimed = await running(self.ledger, run)
        await self.job({"main": agent}, limit=limit).run(Execution(claimed))
        return await self.end_of(claimed.run)

    async def stopped(self, agent: Waits, reason: StopReason, *, policy: Policy | None = None) -> Claim:
        """Runs an attempt and stops it while its agent waits."""
        claimed = replace(await running(self.ledger), policy=policy or Policy())
        await self.interrupted(claimed, agent, reason)
        return claimed

    async def interrupted(self, claimed: Claim, agent: Waits, reason: StopReason) -> None:
        execution = Execution(claimed)
        async with anyio.create_task_group() as group:
            group.start_soon(self.job({"main": agent}).run, execution)
            await agent.waiting.wait()
            await anyio.wait_all_tasks_blocked()
            execution.stop(reason)
        assert agent.closed

    async def end_of(self, run: Run) -> End:
        """The run's end. The log and the ledger agree on it, and it is the only terminal event and the last one."""
        record, end = await self.ledger.record(run.run_id), await self.log.end(run.run_id)
        assert record is not None
        assert end is not None
        assert (record.state, record.code) == (end.state, end.code)
        events = await self.log.read(run.run_id, 0)
        ends = [one for one in events if isinstance(one.data, Completed | Failed | Cancelled)]
        assert ends == events[-1:]
        assert [one.seq for one in events] == list(range(1, len(events) + 1))
        assert end.text == await self.log.text(run.run_id, await self.log.head(run.run_id))
        return end

    async def phases(self, run: Run) -> list[str]:
        events = await self.log.read(run.run_id, 0)
        return [one.data.phase for one in events if isinstance(one, LifecycleEvent)]

    async def begun(self, run: Run) -> tuple[int, bool]:
        """The last attempt that started an agent, as the ledger has it, and whether any attempt did."""
        record = await self.ledger.record(run.run_id)
        assert record is not None
        return record.begun, record.started_ms > 0

    async def state(self, run: Run) -> State:
        record = await self.ledger.record(run.run_id)
        assert record is not None
        return record.state


# --- agents that end by themselves ------------------------------------------------------------------------------------


async def test_an_agent_that_returns_has_completed_its_run(bench: Bench) -> None:
    run = a_run()
    end = await bench.attempt(Says((Delta(delta="Hello"), Delta(delta="there", message=1))), run)
    assert end == End(state=State.COMPLETED, text="Hello\n\nthere", finish_reason="stop")
    assert await bench.phases(run) == ["start", "end"]
    first = (await bench.log.read(run.run_id, 0))[0]
    assert first.data == Started(attempt=1, worker="w1")
    assert await bench.begun(run) == (1, True)


async def test_an_agent_may_say_nothing(bench: Bench) -> None:
    assert (await bench.attempt(Says(()))).text == ""


async def test_an_agent_that_fails_says_why_to_clients_and_more_to_operators(bench: Bench) -> None:
    run = a_run()
    end = await bench.attempt(Says((HI,), RunError(ErrorCode.UPSTREAM_ERROR, "No luck.", "/srv/secret")), run)
    assert end == End(state=State.FAILED, text="Hi", code="upstream_error", message="No luck.", detail="/srv/secret")
    last = (await bench.log.read(run.run_id, 0))[-1]
    assert last.data == Failed(code="upstream_error", message="No luck.")


@pytest.mark.parametrize(
    "bug",
    [
        ValueError("/srv/secret"),
        RecursionError(),
        TimeoutError("not ours"),
        ExceptionGroup("several", [ValueError(), KeyError("k")]),
        asyncio.CancelledError("a task of its own was cancelled"),
    ],
    ids=lambda bug: type(bug).__name__,
)
async def test_whatever_an_agent_raises_is_a_failed_run(bench: Bench, bug: BaseException) -> None:
    end = await bench.attempt(Says((HI,), bug))
    assert (end.state, end.text, end.code) == (State.FAILED, "Hi", "agent_failed")
    assert "secret" not in end.message
    assert type(bug).__name__ in end.detail


async def test_an_agent_that_no_one_may_run_here_is_not_found(bench: Bench) -> None:
    claimed = await running(bench.ledger)
    await bench.job({"other": Says()}).run(Execution(claimed))
    end = await bench.end_of(claimed.run)
    assert (end.state, end.code) == (State.FAILED, "model_not_found")


async def test_a_worker_that_serves_any_agent_serves_this_one(bench: Bench) -> None:
    any_other, named = Says((Delta(delta="any"),)), Says((Delta(delta="named"),))
    for agent_id, expected in (("main", "any"), ("named", "named")):
        claimed = await running(bench.ledger, a_run(agent_id=agent_id))
        await bench.job({"*": any_other, "named": named}).run(Execution(claimed))
        assert (await bench.end_of(claimed.run)).text == expected


# --- what an agent is given -------------------------------------------------------------------------------------------


async def test_an_agent_is_given_what_was_asked(bench: Bench) -> None:
    agent, history = Says(), (Turn(role="user", content="Before"),)
    current = (Turn(role="user", content="Now", parts=(Part(type="image_url", value={"url": "http://x"}),)),)
    tools, params = ({"type": "function"},), {"temperature": 0}
    more = {"history": history, "current": current, "tools": tools, "params": params}
    run = a_run("s", message="Now", extra_system_prompt="Be brief.", **more)
    await bench.attempt(agent, run)
    assert agent.inputs == [
        AgentInput(
            message="Now",
            extra_system_prompt="Be brief.",
            **more,
            run_id=run.run_id,
            session_key="s",
            agent_id="main",
        )
    ]


async def test_a_named_session_goes_on_where_it_ended(bench: Bench) -> None:
    """The request's own history counts in the first turn. Later the agent would get it twice."""
    earlier = (Turn(role="user", content="of the request"),)
    agent = Says((Delta(delta="Answer"),))
    for message in ("one", "two"):
        await bench.attempt(agent, a_run("s", message=message, history=earlier, keeps_transcript=True))
    assert [given.history for given in agent.inputs] == [
        earlier,
        (Turn(role="user", content="one"), Turn(role="assistant", content="Answer")),
    ]


@pytest.mark.parametrize("keeps", [True, False])
async def test_an_agent_knows_whether_its_session_may_come_back(bench: Bench, keeps: bool) -> None:
    """The JSON for a command does not have this field: that JSON is a contract with programs of other people."""
    agent = Says()
    await bench.attempt(agent, a_run("s", keeps_transcript=keeps))
    [input] = agent.inputs
    assert input.named_session is keeps
    assert "named" not in input.model_dump_json(by_alias=True)


# --- an agent's own conversation --------------------------------------------------------------------------------------


class Keeper:
    """An agent that keeps its conversations, and continues the one that it gets."""

    def __init__(self) -> None:
        self.inputs: list[AgentInput] = []

    async def run(self, input: AgentInput) -> AsyncGenerator[AgentOutput, None]:
        self.inputs.append(input)
        yield AgentConversation(id=input.earlier.id if input.earlier else f"c{len(self.inputs)}", place="here")
        yield Delta(delta="Answer")
        if input.message == "fail":
            raise RunError(ErrorCode.AGENT_FAILED, "No.")

    def earlier(self) -> list[str | None]:
        """The conversation that the agent should continue, run by run."""
        return [given.earlier.id if given.earlier else None for given in self.inputs]


def named(message: str, **fields: object) -> Run:
    return a_run("s", message=message, keeps_transcript=True, **fields)


async def test_a_session_goes_on_in_its_agents_own_conversation(bench: Bench) -> None:
    agent = Keeper()
    ends = [await bench.attempt(agent, named(message)) for message in ("one", "two", "three")]
    assert agent.earlier() == [None, "c1", "c1"]
    assert [end.resumed for end in ends] == ["no", "yes", "yes"]
    assert [len(given.history) for given in agent.inputs] == [0, 2, 4]


async def test_a_session_without_a_name_has_none(bench: Bench) -> None:
    agent = Keeper()
    ends = [await bench.attempt(agent, a_run("s", message=message)) for message in ("one", "two")]
    assert agent.earlier() == [None, None]
    assert [(end.resumed, end.conversation) for end in ends] == [(None, None)] * 2
    assert not any(given.named_session for given in agent.inputs)


async def test_after_a_failure_the_transcript_counts(bench: Bench) -> None:
    agent = Keeper()
    for message in ("one", "fail", "three", "four"):
        await bench.attempt(agent, named(message))
    assert agent.earlier() == [None, "c1", None, "c3"]
    assert [turn.content for turn in agent.inputs[2].history] == ["one", "Answer"]


async def test_after_a_stop_the_transcript_counts(bench: Bench) -> None:
    agent = Keeper()
    await bench.attempt(agent, named("one"))
    await bench.interrupted(await running(bench.ledger, named("two")), Waits((HI,)), StopReason.USER)
    await bench.attempt(agent, named("three"))
    assert agent.earlier() == [None, None]


async def test_another_attempt_does_not_go_on_from_half_a_turn(bench: Bench) -> None:
    agent = Keeper()
    await bench.attempt(agent, named("one"))
    claimed = await running(bench.ledger, named("two"))
    await bench.interrupted(claimed, Waits(), StopReason.DRAIN)
    await bench.job({"main": agent}).run(Execution(await claim_one(bench.ledger, "w2")))
    assert agent.earlier() == [None, None]
    assert (await bench.end_of(claimed.run)).resumed == "no"


async def test_what_another_agent_was_told_meanwhile_is_not_left_out(bench: Bench) -> None:
    agent = Keeper()
    await bench.attempt(agent, named("one"))
    claimed = await running(bench.ledger, named("two", agent_id="other"))
    await bench.job({"other": Says()}).run(Execution(claimed))
    await bench.attempt(agent, named("three"))
    assert agent.earlier() == [None, None]
    assert [turn.content for turn in agent.inputs[1].history] == ["one", "Answer", "two", "Hello"]


async def test_what_a_client_knows_better_than_the_transcript_is_told(bench: Bench) -> None:
    agent, call = Keeper(), ToolCall(id="c1", name="f", arguments="{}")
    await bench.attempt(agent, named("one"))
    asked = (Turn(role="user", content="Weather?"), Turn(role="assistant", content="", tool_calls=(call,)))
    result = Turn(role="tool", content="Rain", tool_call_id="c1")
    await bench.attempt(agent, named("Rain", history=asked, current=(result,)))
    assert agent.earlier() == [None, None]
    assert agent.inputs[1].history[-2:] == asked


async def test_an_agent_that_does_not_go_on_has_fallen_back(bench: Bench) -> None:
    await bench.attempt(Keeper(), named("one"))
    assert (await bench.attempt(Says(), named("two"))).resumed == "fell_back"


async def test_a_run_that_died_between_log_and_ledger_leaves_its_conversation(bench: Bench, look: Look) -> None:
    own = StoredConversation(id="c1", agent_id="main", place="", system="")
    claimed, agent = await running(bench.ledger, named("one")), Keeper()
    await bench.log.fence(claimed.run.run_id, 1)
    end = End(state=State.COMPLETED, finish_reason="stop", conversation=own)
    await bench.log.close(said(Completed(), run_id=claimed.run.run_id), Head(1), end)
    end_lease(look, claimed.run.run_id)
    await bench.job({"main": agent}).run(Execution(await claim_one(bench.ledger, "w2")))
    await bench.attempt(agent, named("two"))
    assert agent.earlier() == ["c1"]


# --- agents that are stopped ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", [StopReason.USER, StopReason.TIMEOUT, StopReason.DISCONNECT])
async def test_a_stopped_run_is_cancelled_for_that_reason(bench: Bench, reason: StopReason) -> None:
    claimed = await bench.stopped(Waits((HI,)), reason)
    assert await bench.end_of(claimed.run) == End(state=State.CANCELLED, text="Hi", reason=reason)


async def test_a_run_that_takes_too_long_fails(bench: Bench) -> None:
    agent = Waits((HI,))
    end = await bench.attempt(agent, limit=0.01)
    assert (end.state, end.text, end.code) == (State.FAILED, "Hi", "run_timeout")
    assert agent.closed


async def test_an_agent_may_have_its_own_limit(bench: Bench) -> None:
    claimed = await running(bench.ledger)
    await bench.job({"main": Waits()}, timeouts={"main": 0.01}).run(Execution(claimed))
    assert (await bench.end_of(claimed.run)).code == "run_timeout"


@pytest.mark.parametrize("agent", [Waits((HI,), then=ValueError("in cleanup")), Waits((HI,), swallows=True)])
async def test_what_an_agent_does_when_its_time_is_up_does_not_count(bench: Bench, agent: Waits) -> None:
    """An answer that was cut off must not look whole."""
    end = await bench.attempt(replace(agent, waiting=anyio.Event(), go_on=anyio.Event()), limit=0.01)
    assert (end.state, end.code) == (State.FAILED, "run_timeout")


@pytest.mark.parametrize("agent", [Waits((HI,), then=ValueError("in cleanup")), Waits((HI,), swallows=True)])
async def test_what_an_agent_does_when_it_is_stopped_does_not_count(bench: Bench, agent: Waits) -> None:
    claimed = await bench.stopped(replace(agent, waiting=anyio.Event(), go_on=anyio.Event()), StopReason.USER)
    assert await bench.end_of(claimed.run) == End(state=State.CANCELLED, text="Hi", reason=StopReason.USER)


async def test_a_stop_before_the_agent_has_begun_counts(bench: Bench) -> None:
    claimed, agent = await running(bench.ledger), Says()
    execution = Execution(claimed)
    execution.stop(StopReason.USER)
    await bench.job({"main": agent}).run(execution)
    assert (await bench.end_of(claimed.run)).reason is StopReason.USER


async def test_an_agent_does_not_start_for_a_lost_run_that_another_worker_has_by_now(bench: Bench, look: Look) -> None:
    """The other worker has not written its fence into the log yet."""
    first = await running(bench.ledger)
    second, agent = await _lost(bench, first), Says()
    end_lease(look, first.run.run_id)
    assert (await claim_one(bench.ledger, "w3")).lost
    await bench.job({"main": agent}).run(Execution(second))
    assert agent.inputs == []
    assert (await bench.begun(first.run))[0] == 1


@pytest.mark.parametrize(("late", "started"), [(True, 0), (False, 1)])
async def test_an_agent_does_not_start_on_a_lease_that_ran_out_on_the_way(
    bench: Bench, look: Look, late: bool, started: int
) -> None:
    """Another worker has the run already, and has not written its fence into the log yet. Only the time that the
    replies took shows it."""
    claimed, agent = await running(bench.ledger), Says()
    end_lease(look, claimed.run.run_id)
    assert (await claim_one(bench.ledger, "w2")).lost
    await bench.job({"main": agent}).run(Execution(claimed, lease_requested_at=-math.inf if late else None))
    assert len(agent.inputs) == started


async def test_the_first_reason_to_stop_counts(bench: Bench) -> None:
    execution = Execution(await running(bench.ledger))
    for reason in (StopReason.DISCONNECT, StopReason.USER):
        execution.stop(reason)
    assert execution.stopped is StopReason.DISCONNECT


# --- a worker that has to go ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("emitted", "policy"),
    [
        ((), "retry_if_silent"),
        ((Reasoning(delta="Hm"),), "retry_if_silent"),
        ((), "retry"),
        ((HI,), "retry"),
    ],
)
async def test_a_drained_run_that_may_run_again_is_handed_back_and_spends_no_try(
    bench: Bench, emitted: tuple[AgentEvent, ...], policy: str
) -> None:
    claimed = await bench.stopped(
        Waits(emitted), StopReason.DRAIN, policy=Policy.model_validate({"onWorkerLost": policy})
    )
    assert await bench.state(claimed.run) is State.QUEUED
    assert await bench.phases(claimed.run) == ["start", "queued"]
    last = (await bench.log.read(claimed.run.run_id, 0))[-1]
    assert last.data == Queued(reason=StopReason.DRAIN)
    again = await claim_one(bench.ledger, "w2")
    assert (again.attempt, again.tries, again.lost) == (2, 1, False)
    await bench.job({"main": Says((Delta(delta="Done"),))}).run(Execution(again))
    assert (await bench.end_of(claimed.run)).text == ("Hi\n\nDone" if HI in emitted else "Done")


@pytest.mark.parametrize(
    ("emitted", "policy"),
    [((HI,), "retry_if_silent"), ((HI,), "fail"), ((), "fail"), ((CALL,), "retry_if_silent"), ((CALL,), "retry")],
)
async def test_a_drained_run_that_may_not_run_again_is_lost(
    bench: Bench, emitted: tuple[AgentEvent, ...], policy: str
) -> None:
    claimed = await bench.stopped(
        Waits(emitted), StopReason.DRAIN, policy=Policy.model_validate({"onWorkerLost": policy})
    )
    end = await bench.end_of(claimed.run)
    assert (end.state, end.code, end.text) == (State.FAILED, "worker_lost", "Hi" if HI in emitted else "")


# --- a run that has gone to another worker ----------------------------------------------------------------------------


async def test_an_attempt_that_lost_its_lease_writes_nothing(bench: Bench) -> None:
    claimed = await bench.stopped(Waits((HI,)), StopReason.LEASE_LOST)
    assert await bench.state(claimed.run) is State.RUNNING
    assert await bench.phases(claimed.run) == ["start"]
    assert await bench.log.end(claimed.run.run_id) is None


async def test_a_fenced_attempt_stops_its_agent_and_writes_nothing(bench: Bench) -> None:
    claimed, agent = await running(bench.ledger), Waits((HI,))
    async with anyio.create_task_group() as group:
        group.start_soon(bench.job({"main": agent}).run, Execution(claimed))
        await agent.waiting.wait()
        await anyio.wait_all_tasks_blocked()
        await bench.log.fence(claimed.run.run_id, 2)
        before = await bench.log.read(claimed.run.run_id, 0)
        agent.go_on.set()
    assert agent.closed
    assert await bench.log.read(claimed.run.run_id, 0) == before
    assert await bench.state(claimed.run) is State.RUNNING


async def test_an_agent_does_not_begin_when_another_attempt_has(bench: Bench) -> None:
    claimed, agent = await running(bench.ledger), Says()
    await bench.log.fence(claimed.run.run_id, 2)
    await bench.job({"main": agent}).run(Execution(claimed))
    assert agent.inputs == []
    assert await bench.log.read(claimed.run.run_id, 0) == []


async def test_an_attempt_whose_run_was_ended_by_another_stops_its_agent(bench: Bench) -> None:
    claimed, agent = await running(bench.ledger), Waits()
    async with anyio.create_task_group() as group:
        group.start_soon(bench.job({"main": agent}).run, Execution(claimed))
        await agent.waiting.wait()
        await wait_until(lambda: bench.log.last(claimed.run.run_id), "the start is written")
        head = await bench.log.fence(claimed.run.run_id, 2)
        last = said(Completed(), first=head.seq + 1, attempt=2, run_id=claimed.run.run_id)
        await bench.log.close(last, Head(head.seq + 1), End(state=State.COMPLETED))
        agent.go_on.set()
    assert agent.closed
    assert await bench.phases(claimed.run) == ["start", "end"]


async def test_a_run_whose_log_was_closed_is_only_settled(bench: Bench) -> None:
    """Its worker died after it closed the log and before it settled the ledger."""
    claimed = await running(bench.ledger)
    await bench.log.fence(claimed.run.run_id, 1)
    end = End(state=State.COMPLETED, text="", finish_reason="stop")
    await bench.log.close(said(Completed(), run_id=claimed.run.run_id), Head(1), end)
    again, agent = await _lost(bench, claimed), Says()
    await bench.job({"main": agent}).run(Execution(again))
    assert agent.inputs == []
    assert await bench.end_of(claimed.run) == end


# --- a worker that was lost -------------------------------------------------------------------------------------------


async def _lost(bench: Bench, claimed: Claim, *, by: str = "w2", **policy: object) -> Claim:
    await bench.ledger.renew({claimed.run.run_id: claimed.token}, lease_ms=1)
    while True:  # the shortest lease that a setting allows
        serves = {"*": Policy.model_validate(policy)}
        for again in await bench.ledger.claim(by, serves=serves, lease_ms=LEASE_MS, most=1):
            return again


async def test_a_silent_run_is_run_again_and_its_reader_never_notices(bench: Bench) -> None:
    claimed = await running(bench.ledger)
    await bench.log.fence(claimed.run.run_id, 1)
    again = await _lost(bench, claimed)
    await bench.job({"main": Says((HI,))}).run(Execution(again))
    assert (await bench.end_of(claimed.run)).text == "Hi"


async def test_a_run_that_has_spoken_is_not_run_again(bench: Bench) -> None:
    claimed = await bench.stopped(Waits((HI,)), StopReason.LEASE_LOST)
    again, agent = await _lost(bench, claimed), Says()
    await bench.job({"main": agent}).run(Execution(again))
    end = await bench.end_of(claimed.run)
    assert (end.state, end.code, end.text) == (State.FAILED, "worker_lost", "Hi")
    assert agent.inputs == []


@pytest.mark.parametrize(
    ("max_attempts", "tried", "code"), [(1, 1, "worker_lost"), (2, 2, "poisoned"), (3, 2, "poisoned")]
)
async def test_a_run_is_tried_so_often_and_no_more(bench: Bench, max_attempts: int, tried: int, code: str) -> None:
    """A run that took two workers with it may be what ends them."""
    claimed, attempts = await running(bench.ledger), 1
    await bench.log.fence(claimed.run.run_id, 1, start=bench.job({})._start(claimed))
    while await bench.state(claimed.run) not in ENDS:
        agent = Waits()
        again = await _lost(bench, claimed, max_attempts=max_attempts)
        execution = Execution(again)
        async with anyio.create_task_group() as group:
            group.start_soon(bench.job({"main": agent}).run, execution)
            await anyio.wait_all_tasks_blocked()
            execution.stop(StopReason.LEASE_LOST)
        attempts += agent.closed
        claimed = again
    assert attempts == tried
    assert (await bench.end_of(claimed.run)).code == code


# --- what cannot be read ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", ["", "junk", "{}", '{"a":' * 300])
async def test_a_run_that_cannot_be_read_fails_and_its_session_goes_on(bench: Bench, look: Look, spec: str) -> None:
    """Every worker would claim it in turn."""
    run, behind, agent = a_run("s"), a_run("s"), Says()
    await submit(bench.ledger, run)
    await submit(bench.ledger, behind)
    look.hset(KEYS.run(run.run_id), "spec", spec)
    await bench.job({"main": agent}).run(Execution(await claim_one(bench.ledger)))
    end = await bench.log.end(run.run_id)
    assert end is not None
    assert end.code == "unreadable"
    assert [one.data.code for one in await bench.log.read(run.run_id, 0) if isinstance(one.data, Failed)] == [end.code]
    assert agent.inputs == []
    assert (await claim_one(bench.ledger)).run == behind


@pytest.mark.parametrize("key", ["stream", "head"])
async def test_a_run_whose_log_is_something_else_fails(bench: Bench, look: Look, key: str) -> None:
    claimed = await running(bench.ledger)
    look.set({"stream": KEYS.stream, "head": KEYS.head}[key](claimed.run.run_id), "junk", px=60_000)
    await bench.job({"main": Says((HI,))}).run(Execution(claimed))
    assert look.hget(KEYS.run(claimed.run.run_id), "code") == b"unreadable"


async def test_a_session_whose_lists_are_something_else_is_answered(bench: Bench, look: Look) -> None:
    run = a_run("s", keeps_transcript=True)
    claimed = await running(bench.ledger, run)
    for name in ("transcript", "conversation", "lane"):
        look.delete(KEYS.prefixes()[name] + "s")
        look.hset(KEYS.prefixes()[name] + "s", "junk", "junk")
        look.pexpire(KEYS.prefixes()[name] + "s", 60_000)
    await bench.job({"main": Says((HI,))}).run(Execution(claimed))
    assert (await bench.end_of(run)).text == "Hi"
    assert [turn.content for turn in await bench.ledger.transcript("s")] == ["Hi", "Hi"]


# --- runs that no agent shall see -------------------------------------------------------------------------------------


async def test_a_run_that_was_cancelled_while_it_waited_never_starts(bench: Bench) -> None:
    run, agent = a_run(), Says()
    await submit(bench.ledger, run)
    await bench.ledger.cancel(run.run_id, StopReason.USER)
    await bench.job({"main": agent}).run(Execution(await claim_one(bench.ledger)))
    assert (await bench.end_of(run)).reason is StopReason.USER
    assert await bench.phases(run) == ["cancelled"]
    assert agent.inputs == []
    assert await bench.begun(run) == (0, False)


async def test_a_run_that_waited_too_long_never_starts(bench: Bench, broker: Broker) -> None:
    run, agent = a_run(), Says()
    await submit(bench.ledger, run)
    with looking(broker) as look:
        end_patience(look, run.run_id)
    await bench.job({"main": agent}).run(Execution(await claim_one(bench.ledger)))
    assert (await bench.end_of(run)).code == "queue_timeout"
    assert agent.inputs == []
    assert await bench.begun(run) == (0, False)


# --- Redis ------------------------------------------------------------------------------------------------------------


async def test_a_run_whose_log_is_lost_is_told_to_be(bench: Bench) -> None:
    claimed, agent = await running(bench.ledger), Waits((HI,))
    with capture_logs() as logs:
        await lose_log(bench, claimed, agent)
    record = await bench.ledger.record(claimed.run.run_id)
    assert record is not None
    assert (record.state, record.code) == (State.FAILED, "run_lost")
    assert agent.closed
    assert "run.lost" in [line["event"] for line in logs]  # also when the record is lost, so that no end is logged


async def lose_log(bench: Bench, claimed: Claim, agent: Waits) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(bench.job({"main": agent}).run, Execution(claimed))
        await agent.waiting.wait()
        await anyio.wait_all_tasks_blocked()
        await bench.log.discard(claimed.run.run_id)
        agent.go_on.set()


async def test_a_log_that_is_lost_when_the_agent_has_ended_is_noticed_too(bench: Bench) -> None:
    claimed = await running(bench.ledger)

    async def act(input: AgentInput) -> AsyncGenerator[AgentEvent, None]:
        yield HI
        await anyio.wait_all_tasks_blocked()
        await bench.log.discard(input.run_id)

    await bench.job({"main": Acts(act)}).run(Execution(claimed))
    record = await bench.ledger.record(claimed.run.run_id)
    assert record is not None
    assert (record.state, record.code) == (State.FAILED, "run_lost")


AGENTS: dict[str, Says] = {
    "returns": Says((HI,)),
    "fails": Says((HI,), RunError(ErrorCode.AGENT_FAILED, "No.")),
    "raises": Says((HI,), ValueError()),
    "is silent": Says(()),
}
FAULTS: st.SearchStrategy[list[Fault]] = st.lists(st.sampled_from(["", "before", "after"]), max_size=15)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(agent=st.sampled_from(sorted(AGENTS)), faults=FAULTS)
async def test_whatever_calls_and_answers_are_lost_a_run_ends_once(agent: str, faults: list[Fault]) -> None:
    with stamina.set_testing(True, attempts=1000):
        async with opened_client(FakeBroker()) as client:
            pipe = LossyPipe(client)
            bench = Bench(Ledger(pipe, KEYS), EventLog(pipe, KEYS, retention_ms=60_000))
            claimed = await running(bench.ledger)
            pipe.faults = list(faults)
            await bench.job({"main": replace(AGENTS[agent], inputs=[])}).run(Execution(claimed))
            pipe.faults = []
            end = await bench.end_of(claimed.run)
            assert end.state is (State.COMPLETED if AGENTS[agent].then is None else State.FAILED)
            assert await bench.phases(claimed.run) == ["start", "end" if end.state is State.COMPLETED else "error"]
            await pipe.aclose()


# --- traces -----------------------------------------------------------------------------------------------------------


async def test_an_agent_is_told_its_place_in_the_trace_of_its_run(bench: Bench) -> None:
    spans, agent = Spans(), Says((HI, Usage(prompt_tokens=3, completion_tokens=4)))
    claimed = await running(bench.ledger, a_run(traceparent=SENT))
    claimed = replace(claimed, ready_ms=claimed.now_ms - 5)
    await replace(bench.job({"main": agent}), tracer=spans.tracer).run(Execution(claimed))
    span = spans.named("invoke_agent main")
    assert spans.names == ["invoke_agent main", "wait in queue"]
    assert parent(span) == SENT
    assert [given.traceparent for given in agent.inputs] == [place(span)]
    assert facts(span)["gen_ai.usage.output_tokens"] == 4


async def test_both_attempts_of_a_run_are_in_its_trace_and_only_the_first_has_waited(bench: Bench, look: Look) -> None:
    spans, agent = Spans(), Waits()
    claimed = await running(bench.ledger, a_run(traceparent=SENT))
    claimed = replace(claimed, ready_ms=claimed.now_ms - 5)
    execution = Execution(claimed)
    job = replace(bench.job({"main": agent}), tracer=spans.tracer)
    async with anyio.create_task_group() as group:
        group.start_soon(job.run, execution)
        await agent.waiting.wait()
        execution.stop(StopReason.LEASE_LOST)
    end_lease(look, claimed.run.run_id)
    again = replace(bench.job({"main": Says()}), tracer=spans.tracer)
    await again.run(Execution(await claim_one(bench.ledger, "w2")))
    assert spans.names == ["invoke_agent main", "invoke_agent main", "wait in queue"]


async def test_an_agent_that_fails_leaves_no_word_in_its_span(bench: Bench) -> None:
    spans = Spans()
    claimed = await running(bench.ledger, a_run(message="secret"))
    agent = Says((Delta(delta="secret"),), ValueError("secret"))
    await replace(bench.job({"main": agent}), tracer=spans.tracer).run(Execution(claimed))
    span = spans.named("invoke_agent main")
    assert facts(span)["error.type"] == "agent_failed"
    assert "secret" not in span.to_json()
