"""A claimed run on this worker, and how it is stopped from outside."""

from __future__ import annotations

import time

import anyio

from shared.ledger.ledger import Claim
from shared.run.events import StopReason
from worker.attempt.attempt_conversation import AttemptConversation


class Execution:
    """The first reason to stop counts; it is known before anything is killed."""

    def __init__(self, claim: Claim, *, asked_at: float | None = None) -> None:
        """`asked_at`: when the claim was asked for, by the monotonic clock. Its lease began no earlier."""
        self.claim = claim
        self.claimed_at = time.monotonic()
        self.asked_at = self.claimed_at if asked_at is None else asked_at
        self.scope = anyio.CancelScope()  # holds the agent, and nothing that writes the end
        self.stopped: StopReason | None = None
        self.conversation = AttemptConversation(claim.run)
        self.traceparent = ""  # of the agent

    @property
    def run_id(self) -> str:
        return self.claim.run.run_id

    def stop(self, reason: StopReason) -> None:
        """Stops the agent. Without effect when it was stopped already."""
        if self.stopped is None:
            self.stopped = reason
            self.scope.cancel()
