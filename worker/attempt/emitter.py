"""The emitter writes the events of one attempt.

It merges the agent's events, numbers them and appends them to the run's log, one write at a time. The agent never waits
for a write, only for room: it may be BUFFER_CHARS ahead of Redis. While Redis is away the emitter keeps the events that
it holds and tries again. It repeats a write whose answer was lost with the same numbers, and the log skips the events
that it has.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from shared.ledger.finish import terminal_record
from shared.log.event_log import EventLog, Head
from shared.redis.retry import retry_until_available
from shared.run.clock import now_ms
from shared.run.conversation import Resumed, StoredConversation
from shared.run.errors import Closed, ErrorCode, RunError
from shared.run.events import (
    Completed,
    Delta,
    Event,
    EventData,
    FinishReason,
    Omitted,
    Queued,
    Reasoning,
    Retraction,
    Terminal,
    Tokens,
    ToolCallDelta,
    ToolUse,
    Usage,
    make_event,
)
from shared.run.flat_text import WholeText, joined
from shared.run.json_object import LEVELS, too_deep
from shared.run.run import End, Run
from shared.run.tool_calls import ToolCallAssembler
from worker.agents.protocol import AgentEvent, Finished
from worker.attempt.attempt_limits import AttemptLimits
from worker.attempt.merge import merged
from worker.attempt.thinning import Thinning

BUFFER_CHARS = 262_144  # an agent further ahead of Redis than this waits
TOOL_CHARS = 65_536  # arguments and result of a tool call; a note replaces larger ones
NAME_CHARS = 256  # of a tool's name and of a call's id, in a call larger than TOOL_CHARS


class Emitter:
    """Pass the agent's events to `emit`, run `flush_forever` beside it, and finish with `close` or `hand_back`."""

    def __init__(
        self,
        log: EventLog,
        run: Run,
        attempt: int,
        head: Head,
        limits: AttemptLimits,
        *,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        """`head` is the log as this attempt's fence found it."""
        self._log = log
        self._limits = limits
        self._run = run
        self._attempt = attempt
        self._earlier = head
        self._head = head
        self._clock = clock
        # An attempt begins a message of its own when an earlier attempt has written text.
        self._first_message = head.message + 1 if head.chars else 0
        self._pending: deque[AgentEvent] = deque()
        self._pending_chars = 0
        self._answer_chars = limits.answer_chars  # that the agent may still say
        self._thinning = Thinning(limits.activity_chars)
        self._unconfirmed: list[Event] = []  # numbered; in the log or about to be
        self._wake, self._room = asyncio.Event(), asyncio.Event()
        self._text = WholeText()  # of this attempt
        self._calls = ToolCallAssembler()  # none of an earlier attempt: no attempt follows one that called a tool
        self._usage = Tokens()
        self._finish_reason = FinishReason.STOP

    @property
    def silent(self) -> bool:
        """Whether neither this attempt nor an earlier one has emitted assistant text."""
        return self._head.chars == 0 and not any(isinstance(event, Delta) for event in self._pending)

    @property
    def called(self) -> bool:
        """Whether the agent has called a tool of the client's."""
        return self._head.calls > 0 or any(isinstance(event, ToolCallDelta) for event in self._pending)

    async def emit(self, event: AgentEvent) -> None:
        """Takes the agent's next event. Waits only while the agent is too far ahead. Raises RunError when the answer or
        one call of the client's tools is too large."""
        event = _bounded(event)
        chars = _chars(event)
        match event:
            case ToolUse() | Reasoning() | Usage():
                if not self._thinning.admitted(event, chars):
                    return
            case _:
                self._answer_chars -= chars
                if self._answer_chars < 0:
                    most = self._limits.answer_chars
                    raise RunError(ErrorCode.OUTPUT_TOO_LARGE, f"The agent said more than {most} characters.")
        while self._pending_chars > BUFFER_CHARS:
            self._room.clear()
            await self._room.wait()
        self._pending.append(event)
        self._pending_chars += chars
        self._wake.set()

    async def flush_forever(self) -> None:
        """Writes events as soon as the agent emits them. Raises Fenced, Closed or LogLost when the log refuses them."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            self._take()
            await self._write()

    async def hand_back(self, queued: Queued) -> None:
        """Writes the pending events and `queued`: the run waits again, for another worker."""
        self._take_all()
        self._number([queued])
        await self._write()

    async def close(
        self,
        terminal: Terminal,
        *,
        detail: str = "",
        resumed: Resumed | None = None,
        conversation: StoredConversation | None = None,
    ) -> End:
        """Writes the pending events, the last event and the terminal record.

        Returns the record that counts: an earlier one when the log was closed already. Raises Fenced or LogLost.
        """
        self._take_all()
        terminal = self._summed_up(terminal)
        self._number([terminal])
        earlier = await retry_until_available(lambda: self._log.text(self._run.run_id, self._earlier))
        end = terminal_record(terminal, joined((earlier, str(self._text))), detail, self._calls.whole)
        end = end.model_copy(update={"resumed": resumed, "conversation": conversation})
        try:
            await retry_until_available(lambda: self._log.close(self._unconfirmed, self._head, end))
        except Closed:
            return await retry_until_available(lambda: self._log.end(self._run.run_id)) or end
        return end

    def _summed_up(self, terminal: Terminal) -> Terminal:
        """The last event with the usage and the finish reason that the agent emitted."""
        kept: dict[str, object] = {"usage": self._usage}
        if isinstance(terminal, Completed):
            kept["finish_reason"] = self._reason()
        return terminal.model_copy(update=kept)

    def _reason(self) -> FinishReason:
        """A reason that agrees with the calls, because clients rely on it. Some servers send `stop` with a tool call,
        and some send `tool_calls` without one."""
        if self._calls and self._finish_reason is FinishReason.STOP:
            return FinishReason.TOOL_CALLS
        if not self._calls and self._finish_reason is FinishReason.TOOL_CALLS:
            return FinishReason.STOP
        return self._finish_reason

    def _take(self) -> None:
        """Numbers the events that the agent emitted since the last write."""
        pending, self._pending, self._pending_chars = self._pending, deque(), 0
        self._number(data for event in merged(pending) for data in self._noted(event))
        self._room.set()

    def _take_all(self) -> None:
        """Numbers everything, also what was left out so far and belongs into every log."""
        self._take()
        self._number(data for event in self._thinning.rest() for data in self._noted(event))

    def _noted(self, event: AgentEvent | Omitted) -> Iterator[EventData]:
        """Keeps what the terminal record will need, and yields the event unless it is `Finished`."""
        match event:
            case Finished(reason=reason):
                self._finish_reason = reason
                return
            case Delta() | Retraction():
                if self._first_message:
                    event = event.model_copy(update={"message": event.message + self._first_message})
                self._text.feed(event)
            case ToolCallDelta():
                self._calls.add(event)
            case Usage():
                self._usage = Tokens(**event.model_dump())
        yield event

    def _number(self, all_data: Iterable[EventData]) -> None:
        run = self._run
        for data in all_data:
            self._head = self._after(data)
            self._unconfirmed.append(
                make_event(
                    data,
                    run_id=run.run_id,
                    session_key=run.session_key,
                    attempt=self._attempt,
                    seq=self._head.seq,
                    ts=self._clock(),
                )
            )

    def _after(self, data: EventData) -> Head:
        """The head of the log with this event added."""
        head = self._head
        chars, message = head.chars, head.message
        if isinstance(data, Delta):
            chars, message = chars + len(data.delta), data.message
        return Head(head.seq + 1, chars, message, calls=len(self._calls) or head.calls)

    async def _write(self) -> None:
        events, head = tuple(self._unconfirmed), self._head
        if events:
            await retry_until_available(lambda: self._log.append(events, head))
            del self._unconfirmed[: len(events)]


def _chars(event: AgentEvent) -> int:
    """How much the event counts against the bounds. Never 0: endless empty events would fill the memory."""
    match event:
        case Delta(delta=text) | Reasoning(delta=text):
            return len(text) or 1
        case _:
            return len(event.model_dump_json())


def _unfit(event: ToolUse | ToolCallDelta) -> str | None:
    """Why readers could not read the event, None when they can. Its values come from a model or a tool, which may nest
    lists or write numbers without end."""
    if any(map(too_deep, (event.args, event.result) if isinstance(event, ToolUse) else (event.extra,))):
        return f"nested more than {LEVELS} levels deep"
    try:
        text = event.model_dump_json()
        type(event).model_validate_json(text)
    except ValueError:
        return "no JSON that can be read again"
    return f"larger than {TOOL_CHARS} characters" if isinstance(event, ToolUse) and len(text) > TOOL_CHARS else None


def _bounded(event: AgentEvent) -> AgentEvent:
    if (
        isinstance(event, ToolCallDelta)
        and len(event.model_copy(update={"arguments": ""}).model_dump_json()) > TOOL_CHARS
    ):
        raise RunError(ErrorCode.OUTPUT_TOO_LARGE, f"The name of a tool call is larger than {TOOL_CHARS} characters.")
    if not isinstance(event, ToolUse | ToolCallDelta) or (why := _unfit(event)) is None:
        return event
    if isinstance(event, ToolCallDelta):
        return event.model_copy(update={"extra": {}})
    note = {"omitted": why}
    args, result = (note if value is not None else None for value in (event.args, event.result))
    name, call = event.name[:NAME_CHARS], event.tool_call_id[:NAME_CHARS]
    return event.model_copy(update={"args": args, "result": result, "name": name, "tool_call_id": call})
