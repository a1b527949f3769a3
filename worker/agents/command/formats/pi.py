"""pi: `pi --mode json -p`.

A message is started, updated and ended. Each update holds the message so far and the new text. The format reads the new
text, and takes text that was left out from the end. The CLI always exits with 0: an answer whose `stopReason` is
`error` has failed, unless the CLI tries again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from shared.run.errors import RunError
from shared.run.events import Reasoning, ToolUse
from worker.agents.agent_errors import agent_error, incomplete
from worker.agents.command.formats.format import NEW_MESSAGE, FormatEvent, Object, finished, skipped
from worker.agents.command.formats.growing_text import GrowingText
from worker.agents.protocol import AgentConversation
from worker.agents.token_counts import token_count, token_usage

_SILENT = {
    "session",
    "agent_start",
    "turn_start",
    "turn_end",
    "queue_update",
    "compaction_start",
    "compaction_end",
    "auto_retry_start",
    "auto_retry_end",
}


class Pi:
    def __init__(self) -> None:
        self._parts: dict[int, GrowingText] = defaultdict(GrowingText)  # of the current message, by their place in it
        self._prompt = 0  # tokens of all messages so far
        self._completion = 0
        self._error: RunError | None = None
        self._done = False

    def read(self, printed: Object) -> Iterator[FormatEvent]:
        match printed:
            case {"type": "message_start", "message": {"role": "assistant"}}:
                self._parts.clear()
                yield NEW_MESSAGE
            case {"type": "message_update", "assistantMessageEvent": dict(update)}:
                yield from self._update(update)
            case {"type": "message_end", "message": dict(message)} if message.get("role") == "assistant":
                yield from self._end(message)
            case {"type": "tool_execution_start" | "tool_execution_update" | "tool_execution_end"}:
                yield from _tool(printed)
            case {"type": "agent_end"}:
                self._done = True
            case {"type": "message_start" | "message_update" | "message_end"}:
                pass
            case {"type": "session", "id": str(conversation)}:
                yield AgentConversation(id=conversation)
            case {"type": str(kind)} if kind in _SILENT:
                pass
            case _:
                yield skipped(printed)

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
        for place, part in enumerate(content if isinstance(content, list) else []):
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
