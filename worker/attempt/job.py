"""The job: runs one attempt of one run, and ends it with exactly one terminal record, whatever the agent does.

The job first closes the log and then settles the ledger. When a worker dies between the two, the worker that takes over
the lease finds the log closed and only settles the ledger.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass, field

import anyio
import structlog

from shared.ledger.finish import finish
from shared.ledger.ledger import Claim, Ledger
from shared.ledger.presence import ANY
from shared.ledger.takeover import may_retry, unstarted
from shared.log.event_log import EventLog, Head
from shared.observe.logging import bind_run, end_fields
from shared.observe.tracing import NoTracing, Tracer
from shared.redis.retry import retry_until_available
from shared.run.clock import now_ms
from shared.run.errors import Closed, ErrorCode, Fenced, LogLost, RunError, Unreadable
from shared.run.events import (
    Cancelled,
    Completed,
    Delta,
    Event,
    Failed,
    Queued,
    Started,
    StopReason,
    Terminal,
    make_event,
)
from shared.run.run import End
from shared.run.states import State
from worker.agents.protocol import Agent, AgentConversation, AgentInput
from worker.attempt.attempt_limits import AttemptLimits
from worker.attempt.emitter import Emitter
from worker.attempt.execution import Execution
from worker.attempt.run_history import history_of
from worker.attempt.run_instrumentation import NoRunInstrumentation, RunInstrumentation

logger = structlog.get_logger()

UNSERVED_SECONDS = 60.0  # for a run whose agent this worker does not serve: the run fails at once


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended. `terminal` is the run's last event, or None when another attempt shall end the run."""

    terminal: Terminal | None
    detail: str = ""  # for operators


@dataclass(frozen=True)
class Job:
    """Holds what every attempt on this worker needs. `agents` may hold `*`. `limits` has the
    limits of each agent, by the same ids."""

    worker: str
    ledger: Ledger
    events: EventLog
    agents: Mapping[str, Agent]
    limits: Mapping[str, AttemptLimits]
    lease_seconds: float
    instrumentation: RunInstrumentation = field(default_factory=NoRunInstrumentation)
    tracer: Tracer = field(default_factory=NoTracing)

    async def run(self, execution: Execution) -> None:
        """Brings a claimed run to its end or back to the queue, or leaves it to the worker that owns it meanwhile."""
        claim = execution.claim
        bind_run(claim.run, claim.attempt)
        self.instrumentation.taken(execution)
        try:
            match await finish(claim, self.ledger, self.events, start=self._start(claim)):
                case Head() as head:
                    head = await self._begin(claim, head) if claim.lost else head
                    await self._attempt(
                        execution, Emitter(self.events, claim.run, claim.attempt, head, self._limits(claim))
                    )
                case End() as end:
                    self._ended(execution, end)
        except (Fenced, Closed):  # another attempt has taken the run, or ended it
            self.instrumentation.fenced(execution)
            logger.warning("run.fenced")
        except LogLost:
            logger.warning("run.lost", why="Redis no longer holds the run's log.")
            await self._settle(execution, End(state=State.FAILED, code=ErrorCode.RUN_LOST))
        except Unreadable:
            await self._settle(execution, End(state=State.FAILED, code=ErrorCode.UNREADABLE))

    def _limits(self, claim: Claim) -> AttemptLimits:
        return self.limits.get(claim.run.agent_id) or self.limits.get(ANY) or AttemptLimits(UNSERVED_SECONDS)

    async def _attempt(self, execution: Execution, emitter: Emitter) -> None:
        claim = execution.claim
        await self._be_in_time(execution)
        with self.tracer.invocation(claim.run, claim.attempt, waited=claim.waited) as span:
            execution.traceparent = span.traceparent
            outcome = await self._run_and_flush(execution, emitter)
            if outcome.terminal is not None:
                conversation = execution.conversation
                end = await emitter.close(
                    outcome.terminal,
                    detail=outcome.detail,
                    resumed=conversation.resumed,
                    conversation=conversation.left(outcome.terminal),
                )
                span.ended(end)
                await self._settle(execution, end)
        if outcome.terminal is None and execution.stopped is StopReason.DRAIN:
            await emitter.hand_back(Queued(reason=StopReason.DRAIN))
            await retry_until_available(
                lambda: self.ledger.release(execution.run_id, execution.claim.token, spend=False)
            )
            self.instrumentation.handed_back(execution)
            logger.info("run.handed_back")

    def _start(self, claim: Claim) -> Event:
        """The event that an agent starts. The job writes it before the agent starts; the log gives it its number."""
        return make_event(
            Started(attempt=claim.attempt, worker=self.worker),
            run_id=claim.run.run_id,
            session_key=claim.run.session_key,
            attempt=claim.attempt,
            seq=1,
            ts=now_ms(),
        )

    async def _begin(self, claim: Claim, head: Head) -> Head:
        """Records in the ledger and the log that an agent starts for a lost run. Raises Fenced."""
        never = unstarted(claim, head)
        if not await retry_until_available(lambda: self.ledger.begin(claim, unstarted=never)):
            raise Fenced
        start = self._start(claim)
        return await retry_until_available(lambda: self.events.fence(claim.run.run_id, claim.attempt, start=start))

    async def _be_in_time(self, execution: Execution) -> None:
        """Renews a lease that may have run out while the replies of Redis were under way. Without a lease no agent may
        start: another worker may have run it meanwhile, or the API has reported to a client that it will not run.
        Raises Fenced."""
        claim, lease_ms = execution.claim, int(self.lease_seconds * 1000)
        while time.monotonic() - execution.lease_requested_at > self.lease_seconds / 2:
            execution.lease_requested_at = time.monotonic()
            renewals = await retry_until_available(
                lambda: self.ledger.renew({claim.run.run_id: claim.token}, lease_ms=lease_ms)
            )
            if not renewals[claim.run.run_id].held:
                raise Fenced

    async def _settle(self, execution: Execution, end: End) -> None:
        if await retry_until_available(lambda: self.ledger.settle(execution.claim, end)):
            self._ended(execution, end)

    def _ended(self, execution: Execution, end: End) -> None:
        self.instrumentation.ended(execution, end)
        logger.info("run.ended", **end_fields(end))

    async def _run_and_flush(self, execution: Execution, emitter: Emitter) -> Outcome:
        """Runs the agent and writes the log meanwhile. An error of the log stops the agent and is raised."""
        try:
            async with anyio.create_task_group() as flushing:
                flushing.start_soon(emitter.flush_forever, name=f"flush {execution.run_id}")
                outcome = await self._outcome(execution, emitter)
                flushing.cancel_scope.cancel()
        except ExceptionGroup as refused:
            raise refused.exceptions[0] from None  # of two tasks, only the flush raises
        return outcome

    async def _outcome(self, execution: Execution, emitter: Emitter) -> Outcome:
        """Runs the agent until it ends, fails, is stopped or exceeds its time.

        Nothing that the agent does after it was stopped counts: an answer that was cut off must not look whole.
        """
        limit = self._limits(execution.claim).timeout_seconds
        outcome = Outcome(Completed())
        try:
            with anyio.move_on_after(limit) as time, execution.scope:
                await self._run_agent(execution, emitter)
        except RunError as failure:
            outcome = _failed(failure.code, failure.message, failure.detail, failure.retry_at)
        except asyncio.CancelledError as stray:
            if _cancelled():
                raise
            outcome = _raised(stray)
        except Exception as bug:  # the agent's own code: any exception of it is a failed run, never a dead worker
            outcome = _raised(bug)
        if execution.stopped is None and time.cancel_called:
            return _failed(ErrorCode.RUN_TIMEOUT, f"The run took longer than {limit:g} seconds.")
        return _stopped(execution, emitter) or outcome

    async def _run_agent(self, execution: Execution, emitter: Emitter) -> None:
        run, silent = execution.claim.run, True
        agent = self.agents.get(run.agent_id) or self.agents.get(ANY)
        if agent is None:
            raise RunError(ErrorCode.AGENT_NOT_FOUND, f"No agent {run.agent_id!r} is served here any more.")
        given = await self._input(execution)
        self.instrumentation.started(execution)
        logger.info("run.started")
        async with aclosing(agent.run(given)) as outputs:
            async for output in outputs:
                if isinstance(output, AgentConversation):
                    execution.conversation.note(output)
                    continue
                if silent and isinstance(output, Delta):
                    silent = False
                    self.instrumentation.first_delta(execution)
                await emitter.emit(output)

    async def _input(self, execution: Execution) -> AgentInput:
        run, conversation = execution.claim.run, execution.conversation
        history = run.history
        if run.keeps_transcript:
            transcript = await retry_until_available(lambda: self.ledger.transcript(run.session_key))
            kept = await retry_until_available(lambda: self.ledger.take_conversation(run.session_key, transcript))
            history = history_of(run, transcript)
            conversation.begin(kept if history == transcript else None)
        return AgentInput(
            message=run.message,
            extra_system_prompt=run.extra_system_prompt,
            history=history,
            current=run.current,
            tools=run.tools,
            params=run.params,
            run_id=run.run_id,
            session_key=run.session_key,
            agent_id=run.agent_id,
            named_session=run.keeps_transcript,
            earlier=conversation.earlier,
            traceparent=execution.traceparent,
        )


def _stopped(execution: Execution, emitter: Emitter) -> Outcome | None:
    """The outcome of a run that was stopped from outside, or None. It overrides errors that the agent raised then."""
    match execution.stopped:
        case None:
            return None
        case StopReason.LEASE_LOST:
            return Outcome(None)
        case StopReason.DRAIN if may_retry(execution.claim.policy, silent=emitter.silent, called=emitter.called):
            return Outcome(None)
        case StopReason.DRAIN:
            return _failed(ErrorCode.WORKER_LOST, "The worker was stopped before the run had ended.")
        case reason:
            return Outcome(Cancelled(reason=reason))


def _cancelled() -> bool:
    """Whether the worker cancelled this task. Otherwise the agent awaited a task of its own that was cancelled."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _raised(bug: BaseException) -> Outcome:
    logger.error("agent.raised", exc_info=bug)
    return _failed(ErrorCode.AGENT_FAILED, f"The agent failed ({type(bug).__name__}).", repr(bug))


def _failed(code: ErrorCode, message: str, detail: str = "", retry_at: int | None = None) -> Outcome:
    return Outcome(Failed(code=code, message=message, retry_at=retry_at), detail)
