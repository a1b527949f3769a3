from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest

from shared.ledger.ledger import Claim
from shared.ledger.takeover import Finish, Settle, Start, decide, may_retry, may_start
from shared.log.event_log import Head
from shared.run.events import Cancelled, Failed, StopReason
from shared.run.run import End, Policy
from shared.run.states import State
from tests.runs import a_run

Lost = Literal["retry_if_silent", "fail", "retry"]

EMPTY = Head()
END = End(state=State.COMPLETED)
FRESH = Claim(a_run(), "w1/1", 1, 1, False, None, 0, 1_000, Policy(), 0, 0)
LOST = replace(FRESH, attempt=2, tries=2, lost=True)


def code(claim: Claim, head: Head = EMPTY) -> str:
    """The code of the run's failure, or the name of another decision."""
    match decide(claim, head):
        case Finish(Failed(code=code)):
            return code
        case other:
            return type(other).__name__


def test_a_fresh_run_starts() -> None:
    assert decide(FRESH, Head()) == decide(FRESH, Head(1)) == Start()


@pytest.mark.parametrize(
    ("claim", "may"),
    [
        (FRESH, True),
        (LOST, False),
        (replace(FRESH, cancel=StopReason.USER), False),
        (replace(FRESH, queued_until_ms=1), False),
    ],
)
def test_a_claim_alone_tells_of_a_run_that_was_not_lost_whether_its_agent_starts(claim: Claim, may: bool) -> None:
    assert may_start(claim) is may


@pytest.mark.parametrize(
    "claim", [FRESH, LOST, replace(LOST, cancel=StopReason.USER), replace(FRESH, queued_until_ms=1)]
)
def test_a_log_that_has_its_end_only_has_to_be_settled(claim: Claim) -> None:
    assert decide(claim, Head(9, 9, 0, END)) == Settle(END)


@pytest.mark.parametrize("claim", [FRESH, LOST, replace(FRESH, queued_until_ms=1)])
@pytest.mark.parametrize("reason", list(StopReason))
def test_a_run_that_was_cancelled_ends_for_that_reason(claim: Claim, reason: StopReason) -> None:
    assert decide(replace(claim, cancel=reason), Head(9, 9)) == Finish(Cancelled(reason=reason))


@pytest.mark.parametrize(
    ("queued_until_ms", "expected"),
    [(0, "Start"), (999, "queue_timeout"), (1_000, "queue_timeout"), (1_001, "Start")],
)
def test_patience_ends(queued_until_ms: int, expected: str) -> None:
    """It ends exactly when the ledger's own check finds it over. Otherwise the run would get all of its patience once
    more."""
    assert code(replace(FRESH, queued_until_ms=queued_until_ms)) == expected


def test_a_lost_run_has_been_taken_in_time() -> None:
    assert code(replace(LOST, queued_until_ms=1)) == "Start"


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
