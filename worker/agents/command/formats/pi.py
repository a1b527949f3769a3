"""pi: `pi --mode json -p`.

A message is started, updated and ended. Each update holds the message so far and the new text. The format reads the new
text, and takes text that was left out from the end. The CLI always exits with 0: an answer whose `stopReason` is
`error` has failed, unless the CLI tries again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from shared.run.errors import RunError
from shared.run.events import Reasoning, ToolUse
from worker.agents.agent_errors import agent_error, incomplete
from worker.agents.command.formats.format import (
    BROKEN_OFF,
    NEW_MESSAGE,
    FormatEvent,
    Object,
    finished,
    skipped,
    unread,
)
from worker.agents.command.formats.growing_text import GrowingText
from worker.agents.protocol import AgentConversation
from worker.agents.token_counts import token_count, token_usage

_SILENT = {
    "session",
    "turn_start",
    "turn_end",
    "queue_update",
    "entry_appended",
    "auto_retry_end",
}


class Pi:
    busy = False  # it tells of no work in the background

    def __init__(self) -> None:
        self._parts: dict[int, GrowingText] = defaultdict(GrowingText)  # of the current message, by their place in it
        self._prompt = 0  # tokens of all messages so far
        self._completion = 0
        self._error: RunError | None = None
        self._done = False
        self._going_on = False  # the agent had ended when the CLI began to compact the history

    def read(self, printed: Object) -> Iterator[FormatEvent]:
        match printed:
            case {"type": "message_start", "message": {"role": "assistant"}}:
                self._parts.clear()
                yield BROKEN_OFF if self._error else NEW_MESSAGE
            case {"type": "message_update", "assistantMessageEvent": dict(update)}:
                yield from self._update(update)
            case {"type": "message_end", "message": dict(message)} if message.get("role") == "assistant":
                yield from self._end(message)
            case {"type": "tool_execution_start" | "tool_execution_update" | "tool_execution_end"}:
                yield from _tool(printed)
            case {"type": "agent_start" | "auto_retry_start" | "compaction_start"} | {"willRetry": True}:
                self._going_on, self._done = self._done, False
            case {"type": "agent_end" | "agent_settled"}:  # releases before 1.6 print no `agent_settled`
                self._done = True
            case {"type": "compaction_end"}:
                self._done = self._done or self._going_on
            case {"type": "message_start" | "message_update" | "message_end"}:
                pass
            case {"type": "session", "id": str(conversation)}:
                yield AgentConversation(id=conversation)
            case {"type": str(kind)} if kind in _SILENT:
                pass
            case _:
                yield skipped(printed)

    @property
    def over(self) -> bool:
        return self._done

    def read_head(self, head: Object) -> Iterable[FormatEvent] | None:
        match head:
            case {"type": "tool_execution_end", "toolName": str(name), "toolCallId": str(call)}:
                return [unread(name, call)]
            case {"type": "message_start" | "message_end", "message": {"role": "user" | "toolResult"}}:
                return []
            case {"type": "message_update" | "turn_end" | "tool_execution_update"}:  # `message_end` repeats an update
                return []
            case {"type": "agent_end"}:  # it repeats the whole conversation
                return self.read({"type": "agent_end"})
            case _:
                return None

    def failure(self, code: int) -> RunError | None:
        if self._error:
            return self._error
        return None if code or self._done else incomplete()

    def _update(self, update: Object) -> Iterator[FormatEvent]:
        match update:
            case {"type": "text_delta", "contentIndex": int(place), "delta": str(text)}:
                yield self._parts[place].add(text)
            case {"type": "thinking_delta", "contentIndex": int(place), "delta": str(text)}:
                yield Reasoning(delta=self._parts[place].add(text))

    def _end(self, message: Object) -> Iterator[FormatEvent]:
        content = message.get("content")
        parts = content if isinstance(content, list) else []
        if not all(self._parts[place].continues(str(part.get("text"))) for place, part in _texts(parts)):
            yield BROKEN_OFF  # an update was damaged
            for place, _ in _texts(parts):
                self._parts[place] = GrowingText()
        for place, part in enumerate(parts):
            match part:
                case {"type": "text", "text": str(text)}:
                    yield self._parts[place].snapshot(text)
                case {"type": "thinking", "thinking": str(text)} if rest := self._parts[place].snapshot(text):
                    yield Reasoning(delta=rest)
        yield from self._counted(message)
        yield finished(message.get("stopReason"))
        self._error = _failure(message)

    def _counted(self, message: Object) -> Iterator[FormatEvent]:
        match message.get("usage"):
            case dict(usage):
                self._prompt += sum(token_count(usage.get(name)) for name in ("input", "cacheRead", "cacheWrite"))
                self._completion += token_count(usage.get("output"))
                yield token_usage(prompt=self._prompt, completion=self._completion)


def _texts(parts: Sequence[object]) -> list[tuple[int, Object]]:
    """The parts that are text, with their places."""
    return [(place, part) for place, part in enumerate(parts) if isinstance(part, dict) and part.get("type") == "text"]


def _tool(printed: Object) -> Iterator[FormatEvent]:
    match printed:
        case {"type": "tool_execution_start", "toolName": str(name), "toolCallId": str(call)}:
            yield ToolUse(phase="start", name=name, tool_call_id=call, args=printed.get("args"))
        case {"type": "tool_execution_update", "toolName": str(name), "toolCallId": str(call)}:
            yield ToolUse(phase="update", name=name, tool_call_id=call, result=printed.get("partialResult"))
        case {"type": "tool_execution_end", "toolName": str(name), "toolCallId": str(call)}:
            yield ToolUse(phase="result", name=name, tool_call_id=call, result=_outcome(printed))
        case _:
            yield skipped(printed)


def _outcome(printed: Object) -> object:
    result = printed.get("result")
    return {"error": result} if printed.get("isError") is True else result


def _failure(message: Object) -> RunError | None:
    if message.get("stopReason") not in ("error", "aborted"):
        return None
    words = message.get("errorMessage")
    return agent_error(words if isinstance(words, str) else "")
