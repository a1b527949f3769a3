"""The emitter: it speaks for one attempt.

What an agent says is numbered, merged and appended to the run's log, one write at a time. The agent never waits for a
write, only for room: it may be BUFFER_CHARS ahead of Redis. While Redis is away the emitter keeps what it holds and
tries again; a write whose answer was lost is repeated with the same numbers, and the log passes over what it has.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from shared.ledger.finish import terminal_record
from shared.log.event_log import EventLog, Head
from shared.redis.retry import retry_until_available
from shared.run.calls import ToolCallAssembler
from shared.run.clock import now_ms
from shared.run.conversation import Resumed, StoredConversation
from shared.run.errors import Closed, ErrorCode, RunError
from shared.run.events import (
    Completed,
    Delta,
    Event,
    EventData,
    FinishReason,
    Queued,
    Reasoning,
    Terminal,
    Tokens,
    ToolCallDelta,
    ToolUse,
    Usage,
    make_event,
)
from shared.run.flat_text import FlatText
from shared.run.run import End, Run
from worker.agents.protocol import AgentEvent, Finished
from worker.attempt.merge import merged

BUFFER_CHARS = 262_144  # an agent further ahead of Redis than this waits
OUTPUT_CHARS = 4_194_304  # a run that says more fails: somebody has to keep and to read it
TOOL_CHARS = 65_536  # arguments and result of a tool call; larger ones are left out, and that is said
NAME_CHARS = 256  # of a tool's name and of a call's id, where the call is larger than that


class Emitter:
    """Say what the agent says with `say`, run `flush_forever` beside it, and finish with `close` or `hand_back`."""

    def __init__(self, log: EventLog, run: Run, attempt: int, head: Head, *, clock: Callable[[], int] = now_ms) -> None:
        """`head` is the log as this attempt's fence found it."""
        self._log = log
        self._run = run
        self._attempt = attempt
        self._earlier = head
        self._head = head
        self._clock = clock
        # An attempt that speaks after an earlier one has spoken begins a message of its own.
        self._first_message = head.message + 1 if head.chars else 0
        self._pending: deque[AgentEvent] = deque()
        self._pending_chars = 0
        self._said_chars = 0
        self._unconfirmed: list[Event] = []  # numbered; in the log or about to be
        self._wake, self._room = asyncio.Event(), asyncio.Event()
        self._flat = FlatText(message=head.message, empty=head.chars == 0)
        self._text: list[str] = []
        self._calls = ToolCallAssembler()  # none of an earlier attempt: after a call there is no other
        self._usage = Tokens()
        self._finish_reason = FinishReason.STOP

    @property
    def silent(self) -> bool:
        """Whether no assistant text was said, by this attempt or an earlier one."""
        return self._head.chars == 0 and not any(isinstance(said, Delta) for said in self._pending)

    @property
    def called(self) -> bool:
        """Whether a tool of the client's was called."""
        return self._head.calls > 0 or any(isinstance(said, ToolCallDelta) for said in self._pending)

    async def emit(self, spoken: AgentEvent) -> None:
        """Takes what the agent says. Waits only while the agent is too far ahead. Raises RunError at the run's
        bound."""
        spoken = _bounded(spoken)
        chars = _chars(spoken)
        self._said_chars += chars
        if self._said_chars > OUTPUT_CHARS:
            raise RunError(ErrorCode.OUTPUT_TOO_LARGE, f"The agent said more than {OUTPUT_CHARS} characters.")
        while self._pending_chars > BUFFER_CHARS:
            self._room.clear()
            await self._room.wait()
        self._pending.append(spoken)
        self._pending_chars += chars
        self._wake.set()

    async def flush_forever(self) -> None:
        """Writes what was said, as soon as it was said. Raises Fenced, Closed or LogLost when the log takes no more."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            self._take()
            await self._write()

    async def hand_back(self, said: Queued) -> None:
        """Says that the run waits again, for another worker."""
        self._take()
        self._number([said])
        await self._write()

    async def close(
        self,
        terminal: Terminal,
        *,
        detail: str = "",
        resumed: Resumed | None = None,
        conversation: StoredConversation | None = None,
    ) -> End:
        """Writes what is left, the last event and the terminal record.

        Answers the record that counts: an earlier one, when the log was closed already. Raises Fenced or LogLost.
        """
        self._take()
        terminal = self._summed_up(terminal)
        self._number([terminal])
        earlier = await retry_until_available(lambda: self._log.text(self._run.run_id, self._earlier))
        end = terminal_record(terminal, earlier + "".join(self._text), detail, self._calls.whole)
        end = end.model_copy(update={"resumed": resumed, "conversation": conversation})
        try:
            await retry_until_available(lambda: self._log.close(self._unconfirmed, self._head, end))
        except Closed:
            return await retry_until_available(lambda: self._log.end(self._run.run_id)) or end
        return end

    def _summed_up(self, terminal: Terminal) -> Terminal:
        """The last event with what the agent has said for it."""
        kept: dict[str, object] = {"usage": self._usage}
        if isinstance(terminal, Completed):
            kept["finish_reason"] = self._reason()
        return terminal.model_copy(update=kept)

    def _reason(self) -> FinishReason:
        """Clients go by it: some servers say `stop` although a tool is to be called, and some the other way round."""
        if self._calls and self._finish_reason is FinishReason.STOP:
            return FinishReason.TOOL_CALLS
        if not self._calls and self._finish_reason is FinishReason.TOOL_CALLS:
            return FinishReason.STOP
        return self._finish_reason

    def _take(self) -> None:
        """Numbers what was said since the last write."""
        spoken, self._pending, self._pending_chars = self._pending, deque(), 0
        self._number(event for said in merged(spoken) for event in self._noted(said))
        self._room.set()

    def _noted(self, said: AgentEvent) -> Iterator[EventData]:
        """Keeps what the terminal record will need, and passes on what is an event."""
        match said:
            case Finished(reason=reason):
                self._finish_reason = reason
                return
            case Delta():
                if self._first_message:
                    said = Delta(delta=said.delta, message=said.message + self._first_message)
                self._text.append(self._flat.add(said))
            case ToolCallDelta():
                self._calls.add(said)
            case Usage():
                self._usage = Tokens(**said.model_dump())
        yield said

    def _number(self, all_said: Iterable[EventData]) -> None:
        run = self._run
        for said in all_said:
            self._head = self._after(said)
            self._unconfirmed.append(
                make_event(
                    said,
                    run_id=run.run_id,
                    session_key=run.session_key,
                    attempt=self._attempt,
                    seq=self._head.seq,
                    ts=self._clock(),
                )
            )

    def _after(self, said: EventData) -> Head:
        """Where the log stands once it has this, too."""
        head = self._head
        chars, message = head.chars, head.message
        if isinstance(said, Delta):
            chars, message = chars + len(said.delta), said.message
        return Head(head.seq + 1, chars, message, calls=len(self._calls) or head.calls)

    async def _write(self) -> None:
        events, head = tuple(self._unconfirmed), self._head
        if events:
            await retry_until_available(lambda: self._log.append(events, head))
            del self._unconfirmed[: len(events)]


def _chars(spoken: AgentEvent) -> int:
    """What counts against the bounds. Never 0: an agent that says nothing without end would fill the memory."""
    match spoken:
        case Delta(delta=text) | Reasoning(delta=text):
            return len(text) or 1
        case _:
            return len(spoken.model_dump_json())


def _bounded(spoken: AgentEvent) -> AgentEvent:
    if (
        isinstance(spoken, ToolCallDelta)
        and len(spoken.model_copy(update={"arguments": ""}).model_dump_json()) > TOOL_CHARS
    ):
        raise RunError(ErrorCode.OUTPUT_TOO_LARGE, f"The name of a tool call is larger than {TOOL_CHARS} characters.")
    if not isinstance(spoken, ToolUse) or len(spoken.model_dump_json()) <= TOOL_CHARS:
        return spoken
    note = {"omitted": f"larger than {TOOL_CHARS} characters"}
    args, result = (note if value is not None else None for value in (spoken.args, spoken.result))
    name, call = spoken.name[:NAME_CHARS], spoken.tool_call_id[:NAME_CHARS]
    return spoken.model_copy(update={"args": args, "result": result, "name": name, "tool_call_id": call})
