from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field

import anyio
import anyio.lowlevel
import pytest
from anyio.lowlevel import checkpoint

from shared.ledger.ledger import Ledger
from shared.ledger.operations import Operations
from shared.ledger.presence import Presence
from shared.log.event_log import EventLog
from shared.redis.pipe import Pipe
from shared.run.errors import Unavailable
from shared.run.events import Delta, StopReason
from shared.run.run import Policy, Run
from shared.run.states import ENDS, State
from tests.broker import KEYS, Broker, Look, RealBroker, Valkey, looking, opened_client
from tests.runs import DONE, a_run, claim, claim_one, end_lease, submit
from tests.wait import wait_until
from tests.worker.acting import Says, Waits
from tests.worker.running import Crew, crew, working
from worker.agents.protocol import Agent, AgentEvent, AgentInput
from worker.agents.python.agent_loops import opened_loops
from worker.agents.python.python_agent import PythonAgent
from worker.attempt.execution import Execution
from worker.attempt.job import Job
from worker.claim.run_worker import run_agent

NEVER = 3600.0  # seconds


@dataclass
class Gate:
    """An agent whose runs end one by one, when the test lets them."""

    running: deque[str] = field(default_factory=deque)
    seen: list[str] = field(default_factory=list)
    let_go: anyio.Semaphore = field(default_factory=lambda: anyio.Semaphore(0))

    async def run(self, input: AgentInput) -> AsyncGenerator[AgentEvent, None]:
        self.running.append(input.run_id)
        self.seen.append(input.run_id)
        try:
            await self.let_go.acquire()
            yield Delta(delta="Done.")
        finally:
            self.running.remove(input.run_id)


async def state_of(ledger: Ledger, run: Run) -> State:
    record = await ledger.record(run.run_id)
    assert record is not None
    return record.state


async def ended(ledger: Ledger, run: Run) -> State:
    async def end() -> State | None:
        state = await state_of(ledger, run)
        return state if state in ENDS else None

    found = await wait_until(end, f"{run.run_id} has ended")
    assert found is not None
    return found


async def several(ledger: Ledger, number: int) -> list[Run]:
    runs = [a_run() for _ in range(number)]
    for run in runs:
        await submit(ledger, run)
    return runs


# --- taking runs ------------------------------------------------------------------------------------------------------


async def test_a_worker_runs_what_waits(broker: Broker, ledger: Ledger) -> None:
    runs = await several(ledger, 30)
    async with crew(broker, {"main": Says()}, slots=4) as one, working(one):
        for run in runs:
            assert await ended(ledger, run) is State.COMPLETED
    assert one.worker.jobs_complete == 30


async def test_a_worker_takes_as_many_runs_as_it_has_slots_in_order(broker: Broker, ledger: Ledger) -> None:
    runs, gate = await several(ledger, 5), Gate()
    async with crew(broker, {"main": gate}, slots=2) as one, working(one):
        for upto in range(2, 6):
            await wait_until(lambda upto=upto: len(gate.seen) == upto, f"{upto} runs have begun")  # type: ignore[misc]
            await anyio.wait_all_tasks_blocked()
            assert len(gate.running) == 2
            gate.let_go.release()
        gate.let_go.release()
        for run in runs:
            await ended(ledger, run)
    asked = [run.run_id for run in runs]
    assert sorted(gate.seen[:2]) == sorted(asked[:2])  # of two that begin at once, either may emit first
    assert gate.seen[2:] == asked[2:]


async def test_a_second_worker_takes_what_the_first_has_no_slot_for(broker: Broker, ledger: Ledger) -> None:
    runs, first, second = await several(ledger, 4), Gate(), Gate()
    async with (
        crew(broker, {"main": first}, name="w1", slots=2) as one,
        crew(broker, {"main": second}, name="w2", slots=2) as two,
        working(one),
        working(two),
    ):
        await wait_until(lambda: len(first.seen) == len(second.seen) == 2, "both are busy")
        assert sorted(first.seen + second.seen) == sorted(run.run_id for run in runs)


async def test_a_sleeping_worker_is_woken_by_a_run(broker: Broker, ledger: Ledger) -> None:
    """The worker polls so rarely here that only the doorbell can have woken it."""
    async with crew(broker, {"main": Says()}, poll_seconds=NEVER) as one, working(one):
        await one.sleeping.wait()
        run = a_run()
        await submit(ledger, run)
        await ended(ledger, run)


async def test_a_worker_whose_slot_falls_free_takes_the_next_run_at_once(broker: Broker, ledger: Ledger) -> None:
    """The doorbell does not ring then: it rang when the API accepted the run."""
    gate = Gate()
    async with crew(broker, {"main": gate}, slots=1, poll_seconds=NEVER) as one, working(one):
        await one.sleeping.wait()
        for _ in range(3):
            gate.let_go.release()
        for run in await several(ledger, 3):
            await ended(ledger, run)


async def test_the_next_run_of_a_session_wakes_a_worker(broker: Broker, ledger: Ledger) -> None:
    first, second = a_run("s"), a_run("s")
    await submit(ledger, first)
    await submit(ledger, second)
    claimed = await claim_one(ledger, "elsewhere")
    async with crew(broker, {"main": Says()}, poll_seconds=NEVER) as one, working(one):
        await one.sleeping.wait()
        await ledger.settle(claimed, DONE)
        await ended(ledger, second)


async def test_a_worker_that_serves_any_agent_is_woken_for_any(broker: Broker, ledger: Ledger) -> None:
    async with crew(broker, {"*": Says()}, poll_seconds=NEVER) as one, working(one):
        await one.sleeping.wait()
        run = a_run(agent_id="whatever")
        await submit(ledger, run, bell="*")
        await ended(ledger, run)


async def test_a_worker_leaves_runs_of_other_agents_alone(broker: Broker, ledger: Ledger) -> None:
    other, mine = a_run(agent_id="other"), a_run()
    await submit(ledger, other)
    await submit(ledger, mine)
    async with crew(broker, {"main": Says()}) as one, working(one):
        await ended(ledger, mine)
    assert await state_of(ledger, other) is State.QUEUED


async def test_an_idle_worker_finds_a_lost_run_by_itself(broker: Broker, ledger: Ledger, look: Look) -> None:
    """The doorbell does not ring for a lost run."""
    run = a_run()
    await submit(ledger, run)
    await claim_one(ledger, "a worker that died")
    look.delete(KEYS.bell("main"))
    async with crew(broker, {"main": Says()}, poll_seconds=0.01) as one, working(one):
        await one.sleeping.wait()
        end_lease(look, run.run_id)
        assert await ended(ledger, run) is State.COMPLETED


# --- stopping runs ----------------------------------------------------------------------------------------------------


async def test_a_cancelled_run_stops_at_once(broker: Broker, ledger: Ledger, look: Look) -> None:
    """The worker renews the lease so rarely here that only the order can have stopped the run."""
    agent, run = Waits((Delta(delta="Hi"),)), a_run()
    async with crew(broker, {"main": agent}, lease_seconds=3600) as one, working(one):
        await wait_until(lambda: look.pubsub_numsub(KEYS.control)[0][1], "the worker listens")
        await submit(ledger, run)
        await agent.waiting.wait()
        await ledger.cancel(run.run_id, StopReason.USER)
        assert await ended(ledger, run) is State.CANCELLED
    assert agent.closed


async def test_a_worker_that_lost_a_run_stops_it_and_goes_on(broker: Broker, ledger: Ledger, look: Look) -> None:
    agent, lost, other = Waits(), a_run(), a_run(agent_id="other")
    # The worker renews this lease so rarely that the other worker's claim nearly always comes first.
    async with crew(broker, {"main": agent, "other": Says()}, lease_seconds=2) as one, working(one):
        await one.sleeping.wait()  # otherwise it would wake from a stale ring and claim lost runs itself
        await submit(ledger, lost)
        await agent.waiting.wait()
        end_lease(look, lost.run_id)
        (claimed,) = await ledger.claim("w2", serves={"main": Policy()}, lease_ms=60_000, most=1)
        await wait_until(lambda: agent.closed, "the run is stopped")
        await submit(ledger, other)
        await ended(ledger, other)
        assert await ledger.settle(claimed, DONE)


async def test_a_worker_that_claims_its_own_run_anew_runs_one_attempt_of_it(
    broker: Broker, ledger: Ledger, look: Look
) -> None:
    """That happens after a pause longer than the lease, when the worker claims lost runs before it renews its own."""
    first, second = Waits(), Waits()
    attempts = deque([first, second])

    class Twice:
        def run(self, input: AgentInput) -> AsyncGenerator[AgentEvent, None]:
            return attempts.popleft().run(input)

    run = a_run()
    async with crew(broker, {"main": Twice()}, lease_seconds=3600, poll_seconds=0.01) as one, working(one):
        await submit(ledger, run)
        await first.waiting.wait()
        end_lease(look, run.run_id)
        await second.waiting.wait()
        await wait_until(lambda: first.closed, "the first attempt is stopped")
        await wait_until(lambda: one.worker.job_counter == 1, "its slot is free")
        execution = one.leases.execution(run.run_id)
        assert execution is not None
        assert execution.claim.attempt == 2
        assert len(one.worker.tasks) == 1
        await ledger.cancel(run.run_id, StopReason.USER)
        assert await ended(ledger, run) is State.CANCELLED
    assert one.worker.job_counter == 0


async def test_an_agent_that_blocks_its_event_loop_costs_no_lease_and_no_other_run(
    broker: Broker, ledger: Ledger, look: Look
) -> None:
    """Another worker tries to claim lost runs all the time."""
    begun, may_end, calls = threading.Event(), threading.Event(), []

    async def blocks(input: AgentInput) -> str:
        calls.append(input.run_id)
        begun.set()
        while not may_end.is_set():
            time.sleep(0.01)  # noqa: ASYNC251 - the test needs a blocked loop
        return "Done."

    run, other, lease_seconds = a_run(), a_run(agent_id="other"), 1.0
    async with opened_loops() as loops:
        agents: Mapping[str, Agent] = {"main": PythonAgent(blocks, loops), "other": Says()}
        async with (
            crew(broker, agents, lease_seconds=lease_seconds) as one,
            crew(broker, agents, name="w2", lease_seconds=lease_seconds, poll_seconds=0.01) as two,
            working(one),
        ):
            await submit(ledger, run)
            await wait_until(begun.is_set, "the agent blocks")
            first = lease_end(look, run)
            async with working(two):
                await submit(ledger, other)
                assert await ended(ledger, other) is State.COMPLETED
                await wait_until(
                    lambda: lease_end(look, run) > first + 2000 * lease_seconds,
                    "the lease has been renewed for longer than it lasts",
                )
                may_end.set()
                assert await ended(ledger, run) is State.COMPLETED
    assert calls == [run.run_id]


def lease_end(look: Look, run: Run) -> float:
    """The end of the run's lease, in ms by the clock of Redis."""
    end = look.zscore(KEYS.leases, run.run_id)
    assert end is not None
    return end


class Broken(Job):
    """A job with a bug that no agent could cause."""

    async def run(self, execution: Execution) -> None:
        if execution.claim.run.message == "bug":
            raise ZeroDivisionError
        await super().run(execution)


async def test_a_bug_of_ours_ends_no_worker_and_no_other_run(broker: Broker, ledger: Ledger) -> None:
    bug, fine = a_run(message="bug"), a_run()
    async with crew(broker, {"main": Says()}, job=Broken, slots=1) as one, working(one):
        await submit(ledger, bug)
        await submit(ledger, fine)
        await ended(ledger, fine)
        assert one.leases.execution(bug.run_id) is None
    assert await state_of(ledger, bug) is State.RUNNING  # until its lease is over


async def test_a_stock_arq_worker_cannot_pretend_to_have_run_a_run() -> None:
    with pytest.raises(NotImplementedError):
        await run_agent({}, "chatcmpl_1")


async def test_arqs_health_record_knows_of_the_worker(broker: Broker, ledger: Ledger, look: Look) -> None:
    async with crew(broker, {"main": Says()}, poll_seconds=0.01) as one, working(one):
        await wait_until(lambda: look.get(KEYS.queue + ":health-check"), "the worker has recorded its health")


# --- an operator's order ----------------------------------------------------------------------------------------------


async def state_told(broker: Broker, expected: str) -> None:
    """Waits until the worker has announced this state."""
    async with opened_client(broker) as client:
        pipe = Pipe(client)
        presence = Presence(pipe, KEYS)

        async def announced() -> bool:
            return [seen.announcement.state for seen in await presence.workers()] == [expected]

        await wait_until(announced, f"the worker is {expected}")
        await pipe.aclose()


async def test_a_drained_worker_finishes_what_it_has_and_takes_nothing_until_it_is_resumed(
    broker: Broker, ledger: Ledger, log: EventLog, pipe: Pipe
) -> None:
    operations, gate = Operations(pipe, KEYS, log), Gate()
    (first,) = await several(ledger, 1)
    async with crew(broker, {"main": gate}, poll_seconds=0.01) as one, working(one):
        await wait_until(lambda: gate.running, "the worker runs it")
        await state_told(broker, "serving")
        assert await operations.drain("w1", who="olga")
        await state_told(broker, "draining")
        (second,) = await several(ledger, 1)
        gate.let_go.release()
        assert await ended(ledger, first) is State.COMPLETED
        assert gate.seen == [first.run_id]
        assert await state_of(ledger, second) is State.QUEUED
        assert await operations.undrain("w1", who="olga")
        await state_told(broker, "serving")
        gate.let_go.release()
        assert await ended(ledger, second) is State.COMPLETED


async def test_an_order_that_was_not_heard_is_seen_at_the_next_announcement(
    broker: Broker, ledger: Ledger, log: EventLog, pipe: Pipe, look: Look
) -> None:
    async with crew(broker, {"main": Says()}, poll_seconds=0.01) as one, working(one):
        await state_told(broker, "serving")
        look.hset(KEYS.prefixes()["orders"], "w1", "drain")  # without a message over pub/sub
        one.announcer.soon()
        await state_told(broker, "draining")


async def test_a_drained_worker_stops_at_once(broker: Broker, log: EventLog, pipe: Pipe) -> None:
    async with crew(broker, {"main": Says()}) as one:
        async with working(one):
            await state_told(broker, "serving")
            await Operations(pipe, KEYS, log).drain("w1", who="olga")
            await state_told(broker, "draining")
        await one.ended.wait()
    assert one.worker.state == "gone"


# --- stopping the worker ----------------------------------------------------------------------------------------------


async def test_a_worker_that_is_told_to_stop_takes_nothing_and_finishes_what_it_has(
    broker: Broker, ledger: Ledger
) -> None:
    gate, run, late = Gate(), a_run(), a_run()
    async with crew(broker, {"main": gate}, drain_seconds=60) as one, anyio.create_task_group() as group:
        group.start_soon(one.work)
        await submit(ledger, run)
        await wait_until(lambda: gate.running, "the run has begun")
        await anyio.wait_all_tasks_blocked()  # no claim is under way any more
        states = [one.worker.state]
        one.signal()
        await submit(ledger, late)
        await anyio.wait_all_tasks_blocked()
        states.append(one.worker.state)
        gate.let_go.release()
        await one.ended.wait()
        states.append(one.worker.state)
    assert states == ["serving", "draining", "gone"]
    assert await state_of(ledger, run) is State.COMPLETED
    assert await state_of(ledger, late) is State.QUEUED
    assert gate.seen == [run.run_id]


@pytest.mark.parametrize("sleeping", [True, False])
async def test_an_idle_worker_stops_at_once(broker: Broker, sleeping: bool) -> None:
    idle = crew(broker, {"main": Says()}, poll_seconds=NEVER, drain_seconds=NEVER)
    async with idle as one, anyio.create_task_group() as group:
        group.start_soon(one.work)
        if sleeping:
            await one.sleeping.wait()
        else:
            await checkpoint()
        one.signal()
        await one.ended.wait()
    assert one.worker.state == "gone"


async def test_a_run_that_outlasts_the_drain_is_handed_back(broker: Broker, ledger: Ledger) -> None:
    agent, run = Waits(), a_run()
    async with crew(broker, {"main": agent}, drain_seconds=0.01) as one, anyio.create_task_group() as group:
        group.start_soon(one.work)
        await submit(ledger, run)
        await agent.waiting.wait()
        one.signal()
        await one.ended.wait()
    assert agent.closed
    (again,) = await claim(ledger, "w2")
    assert (again.run, again.tries) == (run, 1)


async def test_a_second_signal_stops_now(broker: Broker, ledger: Ledger) -> None:
    silent, emitting = Waits(), Waits((Delta(delta="Hi"),))
    agents = {"main": silent, "other": emitting}
    first, second = a_run(), a_run(agent_id="other")
    async with crew(broker, agents, drain_seconds=NEVER) as one, anyio.create_task_group() as group:
        group.start_soon(one.work)
        await submit(ledger, first)
        await submit(ledger, second)
        await silent.waiting.wait()
        await emitting.waiting.wait()
        one.signal()
        await anyio.wait_all_tasks_blocked()
        assert not silent.closed
        one.signal()
        await one.ended.wait()
    assert await state_of(ledger, first) is State.QUEUED
    record = await ledger.record(second.run_id)
    assert record is not None
    assert (record.state, record.code) == (State.FAILED, "worker_lost")


async def test_leases_are_kept_while_draining(broker: Broker, ledger: Ledger, look: Look) -> None:
    gate, run = Gate(), a_run()
    draining = crew(broker, {"main": gate}, drain_seconds=NEVER, lease_seconds=1)
    async with draining as one, anyio.create_task_group() as group:
        group.start_soon(one.work)
        await submit(ledger, run)
        await wait_until(lambda: gate.running, "the run has begun")
        one.signal()
        await anyio.wait_all_tasks_blocked()
        end_lease(look, run.run_id)
        await wait_until(lambda: look.zscore(KEYS.leases, run.run_id), "the lease was renewed")
        gate.let_go.release()
        await one.ended.wait()
    assert await state_of(ledger, run) is State.COMPLETED


# --- Redis away -------------------------------------------------------------------------------------------------------


async def _runs_something(one: Crew) -> None:
    run = a_run(agent_id="other")
    await wait_until(lambda: _accepted(one.ledger, run), "Redis is back")
    await ended(one.ledger, run)


async def _accepted(ledger: Ledger, run: Run) -> bool:
    try:
        return bool(await submit(ledger, run))
    except Unavailable:
        return False


@pytest.mark.parametrize("outage", ["restart", "pause"])
async def test_a_worker_outlives_redis_and_so_do_its_runs(own_valkey: Valkey, outage: str) -> None:
    """The agent goes on emitting while Redis is away, and no event is lost."""
    agent = Waits((Delta(delta="Hi"),))
    broker, run = RealBroker(own_valkey.url), a_run()
    async with crew(broker, {"main": agent, "other": Says()}) as one, working(one):
        await submit(one.ledger, run)
        await agent.waiting.wait()
        if outage == "restart":
            own_valkey.kill()
            agent.go_on.set()
            await anyio.wait_all_tasks_blocked()
            own_valkey.start()
        else:
            own_valkey.pause()
            agent.go_on.set()
            await anyio.wait_all_tasks_blocked()
            own_valkey.resume()
        await _runs_something(one)
        await one.ledger.cancel(run.run_id, StopReason.USER)
        assert await ended(one.ledger, run) is State.CANCELLED
        end = await one.log.end(run.run_id)
        assert end is not None
        assert end.text == await one.log.text(run.run_id, await one.log.head(run.run_id)) == "Hi and on"


async def test_a_worker_outlives_connections_that_are_cut(real_broker: Broker) -> None:
    agent, run = Waits((Delta(delta="Hi"),)), a_run()
    async with crew(real_broker, {"main": agent, "other": Says()}) as one, working(one):
        await submit(one.ledger, run)
        await agent.waiting.wait()
        with looking(real_broker) as look:
            for kind in ("normal", "pubsub"):
                look.client_kill_filter(_type=kind, skipme=True)
        agent.go_on.set()
        await _runs_something(one)
        await one.ledger.cancel(run.run_id, StopReason.USER)
        assert await ended(one.ledger, run) is State.CANCELLED


async def test_a_worker_starts_while_redis_is_away(own_valkey: Valkey) -> None:
    own_valkey.kill()
    async with crew(RealBroker(own_valkey.url), {"other": Says()}) as one, working(one):
        await anyio.wait_all_tasks_blocked()
        own_valkey.start()
        await _runs_something(one)


async def test_a_worker_can_be_stopped_while_redis_is_away(own_valkey: Valkey) -> None:
    async with crew(RealBroker(own_valkey.url), {"main": Says()}) as one, working(one):
        await one.sleeping.wait()
        own_valkey.kill()
        await anyio.wait_all_tasks_blocked()
