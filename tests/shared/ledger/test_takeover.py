from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest
from redis.asyncio import Redis

from shared.ledger.ledger import Claim, Ledger
from shared.ledger.takeover import Finish, Settle, Start, decide, may_retry
from shared.log.event_log import Head
from shared.redis.client import Argument
from shared.redis.lua_script import LuaScript
from shared.redis.pipe import Pipe
from shared.redis.replies import Reply
from shared.run.events import Cancelled, Failed, StopReason
from shared.run.run import End, Policy
from shared.run.states import State
from tests.broker import KEYS, Look
from tests.runs import LEASE_MS, a_run, claim, claim_one, end_lease, submit

Lost = Literal["retry_if_silent", "fail", "retry"]

EMPTY = Head()
END = End(state=State.COMPLETED)
FRESH = Claim(a_run(), "w1/1", 1, 1, False, None, True, 1_000, Policy(), 0, 0)
LATE = replace(FRESH, begun=False)
LOST = replace(LATE, attempt=2, tries=2, lost=True)
STARTED = Head(1, started=1)


def code(claim: Claim, head: Head = EMPTY) -> str:
    """The code of the run's failure, or the name of another decision."""
    match decide(claim, head):
        case Finish(Failed(code=code)):
            return code
        case other:
            return type(other).__name__


def test_a_fresh_run_starts() -> None:
    assert decide(FRESH, Head()) == decide(FRESH, Head(1)) == Start()


Patience = Literal["not begun", "left", "over"]
UNTIL_MS: dict[Patience, int] = {"not begun": 0, "left": 2**50, "over": 1}


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("patience", UNTIL_MS)
@pytest.mark.parametrize("cancel", [None, StopReason.USER])
@pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING])
async def test_the_ledger_notes_a_start_exactly_where_an_agent_starts(
    ledger: Ledger, look: Look, state: State, cancel: StopReason | None, patience: Patience, named: bool
) -> None:
    """In all cases that there are: what a claim has noted and what its owner then does cannot differ."""
    run = a_run()
    await submit(ledger, run)
    if state is State.RUNNING:
        await claim_one(ledger)
        end_lease(look, run.run_id)
    if cancel:
        await ledger.cancel(run.run_id, cancel)
    look.hset(KEYS.run(run.run_id), "queued_until", str(UNTIL_MS[patience]))
    taken = await ledger.take(run.run_id, "w2", lease_ms=LEASE_MS) if named else await claimed_or_none(ledger)
    record = await ledger.record(run.run_id)
    assert record is not None
    if taken is None:
        assert (state, cancel, named) == (State.QUEUED, None, True)
        assert patience != "over"
        assert record.begun == 0
        return
    verdict = code(taken)
    match state, cancel, patience:
        case _, StopReason.USER, _:
            assert decide(taken, EMPTY) == Finish(Cancelled(reason=StopReason.USER))
        case State.QUEUED, None, "over":
            assert verdict == "queue_timeout"
        case _:
            assert verdict == "Start"
    assert taken.lost is (state is State.RUNNING)
    assert taken.begun is (verdict == "Start" and not taken.lost)
    assert record.begun == (1 if taken.begun or taken.lost else 0)
    assert (record.started_ms > 0) is (record.begun > 0)


async def claimed_or_none(ledger: Ledger) -> Claim | None:
    return next(iter(await claim(ledger, "w2", most=1)), None)


class StoppedPipe(Pipe):
    """A pipe whose scripts read a clock that stops at `at_ms`, so that a test can hit a boundary exactly."""

    def __init__(self, redis: Redis, *, at_ms: int) -> None:
        super().__init__(redis)
        seconds, ms = divmod(at_ms, 1000)
        self._time = f"{{{seconds}, {ms * 1000}}}"

    async def run(self, script: LuaScript, keys: tuple[str, ...] = (), args: tuple[Argument, ...] = ()) -> Reply:
        assert "redis.call('TIME')" in script.text
        return await super().run(LuaScript(script.text.replace("redis.call('TIME')", self._time)), keys, args)


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize(("until_ms", "expected"), [(999, "queue_timeout"), (1_000, "queue_timeout"), (1_001, "Start")])
async def test_patience_ends_to_the_millisecond(
    redis: Redis, look: Look, until_ms: int, expected: str, named: bool
) -> None:
    """An API process ends a run from the very moment in which a worker would not start it any more."""
    pipe, run = StoppedPipe(redis, at_ms=1_000), a_run()
    ledger = Ledger(pipe, KEYS)
    await submit(ledger, run)
    look.hset(KEYS.run(run.run_id), "queued_until", str(until_ms))
    taken = await ledger.take(run.run_id, "w2", lease_ms=LEASE_MS) if named else await claimed_or_none(ledger)
    if named and expected == "Start":
        assert taken is None
    else:
        assert taken is not None
        assert code(taken) == expected
    await pipe.aclose()


@pytest.mark.parametrize("claim", [FRESH, LATE, LOST, replace(LOST, cancel=StopReason.USER)])
def test_a_log_that_has_its_end_only_has_to_be_settled(claim: Claim) -> None:
    assert decide(claim, Head(9, 9, 0, END)) == Settle(END)


@pytest.mark.parametrize("claim", [FRESH, LATE, LOST])
@pytest.mark.parametrize("reason", list(StopReason))
def test_a_run_that_was_cancelled_ends_for_that_reason(claim: Claim, reason: StopReason) -> None:
    assert decide(replace(claim, cancel=reason), Head(9, 9)) == Finish(Cancelled(reason=reason))


def test_patience_ends_when_the_ledger_says_so() -> None:
    """Otherwise the run would get all of its patience once more."""
    assert code(LATE) == "queue_timeout"


def test_a_lost_run_has_been_taken_in_time() -> None:
    assert code(LOST) == "Start"


@pytest.mark.parametrize(
    ("policy", "silent", "expected"),
    [
        ("retry_if_silent", True, "Start"),
        ("retry_if_silent", False, "worker_lost"),
        ("retry", True, "Start"),
        ("retry", False, "Start"),
        ("fail", True, "worker_lost"),
        ("fail", False, "worker_lost"),
    ],
)
def test_a_lost_run_is_run_again_where_its_agent_allows_it(policy: Lost, silent: bool, expected: str) -> None:
    head = Head(5, 0 if silent else 1)
    assert code(replace(LOST, policy=Policy(on_worker_lost=policy)), head) == expected
    assert may_retry(Policy(on_worker_lost=policy), silent=silent, called=False) == (expected == "Start")


@pytest.mark.parametrize("policy", ["retry_if_silent", "retry", "fail"])
@pytest.mark.parametrize("silent", [True, False])
def test_a_run_that_has_called_a_tool_of_its_client_is_never_run_again(policy: Lost, silent: bool) -> None:
    """The client may be at work on the call, or may have received half of one."""
    head = Head(5, 0 if silent else 1, calls=1)
    assert code(replace(LOST, policy=Policy(on_worker_lost=policy)), head) == "worker_lost"
    assert not may_retry(Policy(on_worker_lost=policy), silent=silent, called=True)


@pytest.mark.parametrize(("tries", "expected"), [(2, "Start"), (3, "Start"), (4, "worker_lost")])
def test_a_lost_run_is_tried_so_often_and_no_more(tries: int, expected: str) -> None:
    assert code(replace(LOST, tries=tries, policy=Policy(max_attempts=3))) == expected


def test_a_run_that_was_handed_back_often_is_not_lost() -> None:
    """A hand-back, as at a deploy, does not count as a try."""
    assert code(replace(FRESH, attempt=50, tries=1)) == "Start"


@pytest.mark.parametrize("policy", ["retry_if_silent", "fail", "retry"])
@pytest.mark.parametrize(("losses", "expected"), [(1, "Start"), (2, "poisoned"), (3, "poisoned")])
def test_a_run_that_took_two_workers_with_it_takes_no_third(policy: Lost, losses: int, expected: str) -> None:
    claimed = replace(LOST, earlier=1, losses=losses, policy=Policy(on_worker_lost=policy, max_attempts=9))
    assert code(claimed, STARTED) == ("worker_lost" if policy == "fail" and losses == 1 else expected)


@pytest.mark.parametrize("policy", ["retry_if_silent", "fail", "retry"])
def test_an_attempt_that_never_started_its_agent_is_none(policy: Lost) -> None:
    """The answer to the claim was lost on the way, so the worker knew nothing of the run."""
    claimed = replace(LOST, earlier=1, losses=2, policy=Policy(on_worker_lost=policy, max_attempts=1))
    assert code(claimed, Head(1)) == "Start"
    assert code(replace(claimed, earlier=3), Head(4, started=2)) == "Start"
    assert code(replace(claimed, cancel=StopReason.USER), Head(1)) != "Start"


async def test_what_an_unstarted_attempt_counted_is_taken_back(ledger: Ledger, look: Look) -> None:
    run = a_run()
    await submit(ledger, run)
    await claim_one(ledger)
    for _ in range(3):
        end_lease(look, run.run_id)
        again = await claim_one(ledger, "w2")
        assert (again.lost, again.tries, again.losses) == (True, 2, 1)
        for _ in range(2):
            assert await ledger.begin(again, unstarted=True)
        record = await ledger.record(run.run_id)
        assert record is not None
        assert record.tries == 1


async def test_a_run_that_only_a_janitor_held_was_lost_with_no_worker(ledger: Ledger, look: Look) -> None:
    run = a_run()
    await submit(ledger, run)
    await claim_one(ledger)
    for losses in (1, 1):
        end_lease(look, run.run_id)
        taken = await ledger.take(run.run_id, "api", lease_ms=LEASE_MS)
        assert taken is not None
        assert taken.losses == losses
