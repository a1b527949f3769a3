"""A claimed run on this worker, and the way to stop it from outside."""

from __future__ import annotations

import time

import anyio

from shared.ledger.ledger import Claim
from shared.run.events import StopReason
from worker.attempt.attempt_conversation import AttemptConversation


class Execution:
    """One attempt in progress. The first reason to stop counts, and it is set before the agent is cancelled."""

    def __init__(self, claim: Claim, *, lease_requested_at: float | None = None) -> None:
        """`lease_requested_at`: when the worker requested the claim, by the monotonic clock. The lease began no
        earlier."""
        self.claim = claim
        self.claimed_at = time.monotonic()
        self.lease_requested_at = self.claimed_at if lease_requested_at is None else lease_requested_at
        self.scope = anyio.CancelScope()  # holds the agent, and nothing that writes the end
        self.stopped: StopReason | None = None
        self.conversation = AttemptConversation(claim.run)
        self.traceparent = ""  # of the agent

    @property
    def run_id(self) -> str:
        return self.claim.run.run_id

    def stop(self, reason: StopReason) -> None:
        """Stops the agent. Has no effect when the agent was stopped already."""
        if self.stopped is None:
            self.stopped = reason
            self.scope.cancel()
