"""The ledger's scripts against a model of a few lines: after any events in any order, both agree."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass, field
from itertools import product
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from shared.ledger.ledger import Claim, Ledger, Renewal, RequestIdentity
from shared.ledger.operations import Operations
from shared.log.event_log import EventLog
from shared.redis.keys import ALL
from shared.redis.pipe import Pipe
from shared.run.events import StopReason
from shared.run.run import End, Policy, Run
from shared.run.states import ENDS, State
from tests.broker import KEYS, Broker, immortal_keys
from tests.runs import LEASE_MS, a_run, end_lease, forget, lane, members, submit

Answer = TypeVar("Answer")


@dataclass
class Known:
    """What the model knows of a run."""

    run: Run
    state: State = State.QUEUED
    attempt: int = 0
    tries: int = 0
    begun: int = 0
    losses: int = 0
    place: int = 0  # in the queue, from the first time that a worker could claim it; 0: not yet
    cancel: StopReason | None = None
    out_of_patience: bool = False
    token: str = ""
    only_ending: bool = False  # an API process has taken it before its turn, in order to end it


@dataclass
class Model:
    runs: dict[str, Known] = field(default_factory=dict)
    lanes: dict[str, list[str]] = field(default_factory=dict)  # runs that have not ended, by session
    ready: set[str] = field(default_factory=set)  # runs that a worker may claim
    turns: dict[str, int] = field(default_factory=dict)  # agents with such runs, by when each was last served or came
    owners: dict[str, dict[str, int]] = field(default_factory=dict)  # of each agent: its owners, likewise
    time: int = 0
    lost: list[str] = field(default_factory=list)  # running ones whose lease is over, in order
    newest: str = ""  # the last run of the one request that clients repeat
    overtook: bool = False  # a retry made that run, and its first try may still come
    paused: set[str] = field(default_factory=set)

    def accept(self, run: Run) -> None:
        self.runs[run.run_id] = Known(run)
        self.lanes.setdefault(run.session_key, []).append(run.run_id)
        self.promote(run.session_key)

    def answer(self, run: Run, tried: int | None) -> str:
        """The run that answers this try of the repeated request. `tried` is the number of earlier tries, None from a
        client that does not count them."""
        if self.newest in self.runs and (tried or (tried == 0 and self.overtook)):
            self.overtook = self.overtook and tried != 0
            return self.newest
        self.newest, self.overtook = run.run_id, bool(tried)
        self.accept(run)
        return run.run_id

    def promote(self, session: str) -> None:
        for first in self.lanes[session][:1]:
            if self.runs[first].state is State.QUEUED and first not in self.ready:
                self.make_ready(first)

    def now(self) -> int:
        self.time += 1
        return self.time

    def make_ready(self, run_id: str) -> None:
        known, now = self.runs[run_id], self.now()
        known.place = known.place or now
        self.ready.add(run_id)
        self.turns.setdefault(known.run.agent_id, now)
        self.owners.setdefault(known.run.agent_id, {}).setdefault(known.run.owner, now)

    def next(self, most: int, serves: str) -> list[str]:
        """The runs that a claim returns. It serves the agents in turn, and within each agent the owners."""
        lost = [one for one in self.lost if self.serves(one, serves)][:most]
        agents = [agent for agent in sorted(self.turns, key=self.turns.__getitem__) if agent in serves or serves == ALL]
        agents = [agent for agent in agents if not self.paused & {ALL, agent}]
        found = list[str]()
        while agents and len(lost) + len(found) < most:
            served = list[str]()
            for agent in agents:
                if len(lost) + len(found) < most and (run_id := self.next_of(agent, found)):
                    found.append(run_id)
                    served.append(agent)
            agents = served
        return lost + found

    def next_of(self, agent: str, found: list[str]) -> str | None:
        owners = self.owners[agent]
        for owner in sorted(owners, key=owners.__getitem__):
            own = [self.runs[one] for one in self.ready - set(found)]
            own = [one for one in own if (one.run.agent_id, one.run.owner) == (agent, owner)]
            if own:
                owners[owner] = self.turns[agent] = self.now()
                return min(own, key=lambda one: one.place).run.run_id
            del owners[owner]
        del self.turns[agent]
        return None

    def serves(self, run_id: str, serves: str) -> bool:
        return serves in (ALL, self.runs[run_id].run.agent_id) and not self.held(run_id)

    def held(self, run_id: str) -> bool:
        return bool(self.paused & {ALL, self.runs[run_id].run.agent_id})

    def claim(self, claimed: Claim) -> None:
        """Checks a claim against the model, and updates the model."""
        known = self.runs[claimed.run.run_id]
        assert (claimed.lost, claimed.cancel) == (known.state is State.RUNNING, known.cancel)
        known.losses += known.state is State.RUNNING and known.begun == known.attempt
        assert (claimed.earlier, claimed.losses) == (known.begun, known.losses)
        known.state, known.attempt, known.tries = State.RUNNING, known.attempt + 1, known.tries + 1
        assert (claimed.run, claimed.attempt, claimed.tries) == (known.run, known.attempt, known.tries)
        known.token = claimed.token
        self.leave_lines(claimed.run.run_id)

    def leave_lines(self, run_id: str) -> None:
        self.ready.discard(run_id)
        self.lost = [other for other in self.lost if other != run_id]

    def owns(self, claimed: Claim) -> bool:
        known = self.runs.get(claimed.run.run_id)
        return known is not None and known.state is State.RUNNING and known.token == claimed.token

    def release(self, claimed: Claim, *, spend: bool, unstarted: bool) -> None:
        known = self.runs[claimed.run.run_id]
        known.state, known.out_of_patience = State.QUEUED, False
        known.tries, known.losses = known.tries - (not spend) - unstarted, known.losses - unstarted
        self.leave_lines(claimed.run.run_id)
        self.make_ready(claimed.run.run_id)

    def end(self, claimed: Claim, state: State) -> None:
        self.runs[claimed.run.run_id].state = state
        self.leave(claimed.run)
        self.promote(claimed.run.session_key)

    def leave(self, run: Run) -> None:
        self.lanes[run.session_key].remove(run.run_id)
        self.leave_lines(run.run_id)


class LedgerMachine(RuleBasedStateMachine):
    broker: Broker

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.look = self.broker.look()
        self.look.flushall()
        self.client = self.broker.client()
        self.pipe = Pipe(self.client)
        self.ledger = Ledger(self.pipe, KEYS)
        self.operations = Operations(self.pipe, KEYS, EventLog(self.pipe, KEYS, retention_ms=60_000))
        self.model = Model()
        self.claims: list[Claim] = []  # all that ever were
        self.expiries = 0

    def teardown(self) -> None:
        self.do(self.pipe.aclose())
        self.do(self.client.aclose())
        self.do(self.client.connection_pool.disconnect())
        self.loop.close()
        self.look.close()

    def do(self, operation: Coroutine[object, object, Answer]) -> Answer:
        return self.loop.run(operation)

    def some(self, data: st.DataObject, *states: State) -> Known:
        return data.draw(st.sampled_from([known for known in self.model.runs.values() if known.state in states]))

    def any_in(self, *states: State) -> bool:
        return any(known.state in states for known in self.model.runs.values())

    # --- what processes do --------------------------------------------------------------------------------------------

    @rule(session=st.sampled_from(["s1", "s2", "s3", "alice", "alice", "bob", "bob"]))
    def submit(self, session: str) -> None:
        """Runs of a busy session, or each with a session of its own."""
        agent, own = "coder" if session in ("s3", "bob") else "main", session in ("alice", "bob")
        owner = "bob" if session in ("s2", "bob") else "alice"
        run = a_run(None if own else session, agent_id=agent, owner=owner)
        assert self.do(submit(self.ledger, run)).run_id == run.run_id
        self.model.accept(run)

    @precondition(lambda self: self.any_in(*State))
    @rule(data=st.data())
    def submit_again(self, data: st.DataObject) -> None:
        run = self.some(data, *State).run
        assert self.do(submit(self.ledger, run)).run_id == run.run_id

    @rule(tried=st.sampled_from([None, 0, 0, 1, 2]), lost_answers=st.integers(0, 1))
    def submit_the_same(self, tried: int | None, lost_answers: int) -> None:
        run, once = a_run(), RequestIdentity("the same", join=bool(tried), counted=tried is not None)
        expected = self.model.answer(run, tried)
        for _ in range(1 + lost_answers):
            assert self.do(submit(self.ledger, run, once=once)).run_id == expected

    @rule(owner=st.sampled_from(["w1", "w2"]), most=st.integers(1, 3), serves=st.sampled_from([ALL, ALL, "coder"]))
    def claim(self, owner: str, most: int, serves: str) -> None:
        expected = self.model.next(most, serves)
        claims = self.do(self.ledger.claim(owner, serves={serves: Policy()}, lease_ms=LEASE_MS, most=most))
        assert [one.run.run_id for one in claims] == expected
        for one in claims:
            known = self.model.runs[one.run.run_id]
            ends_it = known.state is State.RUNNING or known.cancel or known.out_of_patience
            self.note([one])
            known.begun = known.begun if ends_it else one.attempt

    @precondition(lambda self: self.any_in(*State))
    @rule(data=st.data())
    def take(self, data: st.DataObject) -> None:
        known = self.some(data, *State)
        run_id, session = known.run.run_id, known.run.session_key
        queued, its_turn = known.state is State.QUEUED, run_id in self.model.ready
        taken = self.do(self.ledger.take(run_id, "api", lease_ms=LEASE_MS))
        overdue = known.out_of_patience and not self.model.held(run_id)
        expected = run_id in self.model.lost or (queued and bool(known.cancel or overdue))
        assert (taken is not None) == expected
        if taken is not None:
            known.only_ending |= queued and not its_turn
            self.note([taken])
        elif queued and self.model.lanes[session][0] == run_id:
            self.model.promote(session)  # the one before it had vanished

    def note(self, claims: Iterable[Claim]) -> None:
        for one in claims:
            self.model.claim(one)
            self.claims.append(one)

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), unstarted=st.booleans())
    def begin(self, data: st.DataObject, unstarted: bool) -> None:
        claimed = data.draw(st.sampled_from(self.claims))
        owns = self.model.owns(claimed)
        assert self.do(self.ledger.begin(claimed, unstarted=unstarted)) == owns
        if owns:
            known = self.model.runs[claimed.run.run_id]
            if unstarted and known.begun != known.attempt:
                known.tries, known.losses = max(1, known.tries - 1), max(0, known.losses - 1)
            known.begun = claimed.attempt

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        claimed = data.draw(st.sampled_from(self.claims))
        run_id = claimed.run.run_id
        (renewal,) = self.do(self.ledger.renew({run_id: claimed.token}, lease_ms=LEASE_MS)).values()
        if self.model.owns(claimed):
            self.model.leave_lines(run_id)
            assert renewal == Renewal(held=True, cancel=self.model.runs[run_id].cancel)
        else:
            known = self.model.runs.get(run_id)
            assert renewal == Renewal(held=False, done=known is not None and known.token == claimed.token)

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), spend=st.booleans(), unstarted=st.booleans())
    def release(self, data: st.DataObject, spend: bool, unstarted: bool) -> None:
        """An owner that took a run before its turn ends it and never releases it, so this rule skips such runs."""
        claimed = data.draw(st.sampled_from(self.claims))
        owns = self.model.owns(claimed)
        if owns and self.model.runs[claimed.run.run_id].only_ending:
            return
        released = self.ledger.release(claimed.run.run_id, claimed.token, spend=spend, unstarted=unstarted)
        assert self.do(released) == owns
        if owns:
            self.model.release(claimed, spend=spend, unstarted=unstarted)

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), state=st.sampled_from(sorted(ENDS)))
    def settle(self, data: st.DataObject, state: State) -> None:
        claimed = data.draw(st.sampled_from(self.claims))
        known, owns = self.model.runs.get(claimed.run.run_id), self.model.owns(claimed)
        has_ended = known is not None and known.state in ENDS
        end = End.model_validate({"state": state})
        assert self.do(self.ledger.settle(claimed, end)) == (owns or has_ended)
        if owns:
            self.model.end(claimed, state)

    @precondition(lambda self: self.any_in(*State))
    @rule(data=st.data(), reason=st.sampled_from(StopReason))
    def cancel(self, data: st.DataObject, reason: StopReason) -> None:
        known = self.some(data, *State)
        assert self.do(self.ledger.cancel(known.run.run_id, reason)) is known.state
        if known.state not in ENDS:
            known.cancel = known.cancel or reason

    @rule(agent=st.sampled_from([ALL, "main", "coder"]))
    def pause(self, agent: str) -> None:
        self.do(self.operations.pause(agent, who="operator"))
        self.model.paused.add(agent)

    @rule(agent=st.sampled_from([ALL, "main", "coder"]))
    def resume(self, agent: str) -> None:
        """Each run that the pause held back has the whole of its patience again."""
        for run_id in self.model.ready:
            known = self.model.runs[run_id]
            known.out_of_patience &= agent not in (ALL, known.run.agent_id)
        self.do(self.operations.resume(agent, who="operator"))
        self.model.paused.discard(agent)

    # --- what time and Redis do ---------------------------------------------------------------------------------------

    @precondition(lambda self: self.any_in(State.RUNNING))
    @rule(data=st.data())
    def a_lease_ends(self, data: st.DataObject) -> None:
        run_id = self.some(data, State.RUNNING).run.run_id
        if run_id not in self.model.lost:
            self.expiries += 1
            end_lease(self.look, run_id, at=self.expiries)
            self.model.lost.append(run_id)

    @precondition(lambda self: self.model.ready)
    @rule(data=st.data())
    def patience_ends(self, data: st.DataObject) -> None:
        run_id = data.draw(st.sampled_from(sorted(self.model.ready)))
        self.look.hset(KEYS.run(run_id), "queued_until", "1")
        self.model.runs[run_id].out_of_patience = True

    @precondition(lambda self: self.any_in(State.QUEUED, State.RUNNING))
    @rule(data=st.data())
    def a_record_vanishes(self, data: st.DataObject) -> None:
        known = self.some(data, State.QUEUED, State.RUNNING)
        forget(self.look, known.run.run_id)
        self.model.leave(known.run)
        del self.model.runs[known.run.run_id]

    # --- what holds at all times --------------------------------------------------------------------------------------

    @invariant()
    def every_record_is_as_expected(self) -> None:
        for run_id, known in self.model.runs.items():
            record = self.look.hgetall(KEYS.run(run_id))
            assert record[b"state"].decode() == known.state
            assert (int(record[b"attempt"]), int(record[b"tries"])) == (known.attempt, known.tries)
            assert int(record.get(b"begun", 0)) == known.begun
            assert int(record.get(b"losses", 0)) == known.losses
            assert (b"started" in record) == (known.begun > 0)

    @invariant()
    def no_run_is_forgotten(self) -> None:
        """A waiting run is in the queue, where arq finds it, and either in its lane's line or in its owner's list; a
        running one is among the leases. A run that has ended is in none of them."""
        queue, leases = (self.known(members(self.look, zset)) for zset in (KEYS.queue, KEYS.leases))
        assert set(queue) == {run_id for run_id, known in self.model.runs.items() if known.state is State.QUEUED}
        assert set(leases) == {run_id for run_id, known in self.model.runs.items() if known.state is State.RUNNING}
        assert set(self.known(members(self.look, KEYS.deadlines))) == self.model.ready
        assert set(self.known(members(self.look, KEYS.checks))) == set(queue) - self.model.ready
        assert self.listed("leased", "main") | self.listed("leased", "coder") == set(leases)
        assert self.listed("line", "main") | self.listed("line", "coder") == set(queue) - self.model.ready

    @invariant()
    def each_owner_has_a_list_in_order(self) -> None:
        for agent, owner in product(("main", "coder"), ("alice", "bob")):
            own = [self.model.runs[run_id] for run_id in self.model.ready]
            own = [one for one in own if (one.run.agent_id, one.run.owner) == (agent, owner)]
            expected = [one.run.run_id for one in sorted(own, key=lambda one: one.place)]
            assert self.known(members(self.look, f"{KEYS.prefixes()['waiting']}{agent}:{owner}")) == expected
            assert set(expected) <= self.listed("ready", agent)

    @invariant()
    def every_run_is_found_by_its_state(self) -> None:
        for state in State:
            found = set(self.known(members(self.look, KEYS.state(state))))
            assert found == {run_id for run_id, known in self.model.runs.items() if known.state is state}

    @invariant()
    def lanes_hold_the_runs_that_have_not_ended_in_order(self) -> None:
        for session, expected in self.model.lanes.items():
            assert self.known(lane(self.look, a_run(session))) == expected

    @invariant()
    def one_run_of_a_session_runs_at_a_time(self) -> None:
        running = [
            known for known in self.model.runs.values() if known.state is State.RUNNING and not known.only_ending
        ]
        assert len({known.run.session_key for known in running}) == len(running)
        assert all(self.model.lanes[known.run.session_key][0] == known.run.run_id for known in running)

    @invariant()
    def a_lock_stands_for_each_lease(self) -> None:
        for run_id, known in self.model.runs.items():
            lock = self.look.get(KEYS.prefixes()["lock"] + run_id)
            leased = known.state is State.RUNNING and run_id not in self.model.lost
            assert lock == (known.token.encode() if leased else None)

    @invariant()
    def no_key_is_immortal(self) -> None:
        assert not immortal_keys(self.look)

    def listed(self, name: str, agent: str) -> set[str]:
        return set(self.known(members(self.look, KEYS.prefixes()[name] + agent)))

    def known(self, run_ids: list[str]) -> list[str]:
        """`run_ids` without runs whose record is gone: a script that comes across one drops it."""
        return [run_id for run_id in run_ids if run_id in self.model.runs]


@pytest.mark.slow
def test_the_ledger_does_what_its_model_does(broker: Broker) -> None:
    class Machine(LedgerMachine):
        pass

    Machine.broker = broker
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=30,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
