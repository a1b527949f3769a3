"""Decides what happens to a claimed run. Workers, which can run it, and API processes, which can only end it, use the
same table. Pure.

Rule 1: only scripts/claim.lua decides whether an agent starts for a run that was not lost, because it notes the start
in the same step. This file uses its decision (`Claim.begun`).
"""

from __future__ import annotations

from dataclasses import dataclass

from shared.ledger.ledger import Claim
from shared.log.event_log import Head
from shared.run.errors import ErrorCode
from shared.run.events import Cancelled, Failed, Terminal
from shared.run.run import End, Policy

POISON_LOSSES = 2  # a run that took this many workers with it takes no further one, whatever its agent's policy


@dataclass(frozen=True)
class Settle:
    """The log has its end, but the writer died before it settled the ledger."""

    end: End


@dataclass(frozen=True)
class Finish:
    """The owner ends the run with this event."""

    terminal: Terminal


@dataclass(frozen=True)
class Start:
    """The agent may run."""


Decision = Settle | Finish | Start


def decide(claim: Claim, head: Head) -> Decision:
    """Decides from the claim and the head of the log. The caller has fenced the log, so no earlier attempt adds to it.

    A run that was neither lost nor cancelled and has not begun has waited too long.
    """
    if head.end is not None:
        return Settle(head.end)
    if not claim.readable:
        return Finish(_failed(ErrorCode.UNREADABLE))
    if claim.cancel is not None:
        return Finish(Cancelled(reason=claim.cancel))
    if not claim.lost:
        return Start() if claim.begun else Finish(_failed(ErrorCode.QUEUE_TIMEOUT))
    if unstarted(claim, head):
        return Start()
    if claim.losses >= POISON_LOSSES:
        return Finish(_failed(ErrorCode.POISONED))
    allowed = may_retry(claim.policy, silent=head.chars == 0, called=head.calls > 0)
    again = allowed and claim.tries <= claim.policy.max_attempts
    return Start() if again else Finish(_failed(ErrorCode.WORKER_LOST))


def unstarted(claim: Claim, head: Head) -> bool:
    """Whether the attempt that was lost had never started its agent, as when its worker did not get the answer to its
    claim: it cannot have done anything. A worker writes the start to the log before the agent starts."""
    return claim.lost and claim.earlier > head.started


def may_retry(policy: Policy, *, silent: bool, called: bool) -> bool:
    """Whether another attempt may follow one that was lost. No answer may be cut off and look whole, and no agent may
    edit files twice against its owner's will.

    `silent`: the agent has emitted no text. `called`: the agent has requested a call of a tool of the client, at least
    in part. A reader cannot take that back, and would get the call twice. So no policy allows another attempt then.
    """
    return not called and {"retry": True, "retry_if_silent": silent, "fail": False}[policy.on_worker_lost]


_MESSAGES = {
    ErrorCode.UNREADABLE: "What the service keeps of the run cannot be read.",
    ErrorCode.WORKER_LOST: "The worker was lost before the run had ended.",
    ErrorCode.POISONED: "The run was lost with its worker twice, and is not tried again.",
    ErrorCode.QUEUE_TIMEOUT: "No worker took the run in time.",
}


def _failed(code: ErrorCode) -> Failed:
    return Failed(code=code, message=_MESSAGES[code])
