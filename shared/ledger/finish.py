"""Ends claimed runs that no agent is to run. Workers do so after they claim a run, and the janitors of API processes
when they tidy up."""

from __future__ import annotations

from dataclasses import replace

from shared.ledger.ledger import Claim, Ledger
from shared.ledger.takeover import Finish, Settle, Start, decide
from shared.log.event_log import EventLog, Head
from shared.redis.retry import retry_until_available
from shared.run.clock import now_ms
from shared.run.errors import Closed
from shared.run.events import Cancelled, Completed, Event, Failed, Terminal, make_event
from shared.run.run import End, ToolCall
from shared.run.states import State


async def finish(claim: Claim, ledger: Ledger, log: EventLog, *, start: Event | None = None) -> Head | End:
    """Fences the log, and ends the run if `decide` requires it. Returns the head of the log when an agent is to run,
    else the end of the run.

    With the fence the log gets `start`, if the claim has begun. For a lost run the caller appends the start later,
    after it has read the head. Raises Fenced when a later attempt owns the run, LogLost when its log is gone.
    """
    written = start if claim.begun else None
    head = await retry_until_available(lambda: log.fence(claim.run.run_id, claim.attempt, start=written))
    match decide(claim, head):
        case Start():
            return head
        case Settle(end):
            pass
        case Finish(terminal):
            end = await _close(claim, head, terminal, log)
    await retry_until_available(lambda: ledger.settle(claim, end))
    return end


async def _close(claim: Claim, head: Head, terminal: Terminal, log: EventLog) -> End:
    text = await retry_until_available(lambda: log.text(claim.run.run_id, head))
    end = terminal_record(terminal, text)
    run = claim.run
    last = make_event(
        terminal,
        run_id=run.run_id,
        session_key=run.session_key,
        attempt=claim.attempt,
        seq=head.seq + 1,
        ts=now_ms(),
    )
    try:
        await retry_until_available(lambda: log.close([last], replace(head, seq=head.seq + 1), end))
    except Closed:
        return await retry_until_available(lambda: log.end(claim.run.run_id)) or end
    return end


def terminal_record(terminal: Terminal, text: str, detail: str = "", tool_calls: tuple[ToolCall, ...] = ()) -> End:
    """Makes the terminal record from a run's terminal event and its whole text."""
    match terminal:
        case Completed(finish_reason=reason, usage=usage):
            return End(state=State.COMPLETED, text=text, tool_calls=tool_calls, finish_reason=reason, usage=usage)
        case Failed(code=code, message=message, usage=usage):
            return End(state=State.FAILED, text=text, code=code, message=message, detail=detail, usage=usage)
        case Cancelled(reason=reason, usage=usage):
            return End(state=State.CANCELLED, text=text, reason=reason, usage=usage)
