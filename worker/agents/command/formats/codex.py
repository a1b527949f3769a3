"""Codex: `codex exec --json`.

A thread has turns, ours exactly one, and a turn has items, which are started, updated and completed. The CLI prints
text in whole messages, never in pieces. An `error` line may be a retry, and an item of type `error` is a warning; only
`turn.failed` is the end. The CLI counts tokens from the beginning of the thread, which may be an earlier run's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from shared.run.errors import RunError
from shared.run.events import Reasoning, Tokens, ToolUse
from worker.agents.agent_errors import agent_error, incomplete
from worker.agents.command.formats.format import NEW_MESSAGE, FormatEvent, Object, skipped, unread
from worker.agents.command.formats.growing_text import GrowingText
from worker.agents.protocol import AgentConversation
from worker.agents.token_counts import token_count, token_usage

# The items that are tools, with the fields that are the tool's input. The other fields are its result.
_TOOLS: dict[str, tuple[str, ...]] = {
    "command_execution": ("command",),
    "file_change": ("changes",),
    "mcp_tool_call": ("server", "tool", "arguments"),
    "web_search": ("query", "action"),
    "todo_list": ("items",),
    "collab_tool_call": ("tool", "prompt"),
}


class Codex:
    busy = False  # it tells of no work in the background

    def __init__(self) -> None:
        self._texts: dict[str, GrowingText] = defaultdict(GrowingText)  # by item
        self._started: set[str] = set()  # tools, by item
        self._error = ""  # the last one; the CLI may have recovered from it
        self._done = False
        self._thread = ""

    def read(self, printed: Object) -> Iterator[FormatEvent]:
        match printed:
            case {"type": "item.started" | "item.updated" | "item.completed" as phase, "item": dict(item)}:
                yield from self._item(phase.removeprefix("item."), str(item.get("id")), item)
            case {"type": "turn.completed"}:
                self._done = True
                yield from self._counted(printed.get("usage"))
            case {"type": "turn.failed"}:
                raise agent_error(_message(printed.get("error")) or self._error)
            case {"type": "error"}:
                self._error = _message(printed)
            case {"type": "thread.started", "thread_id": str(thread)}:
                self._thread = thread
                yield AgentConversation(id=thread)
            case {"type": "thread.started" | "turn.started"}:
                pass
            case _:
                yield skipped(printed)

    @property
    def over(self) -> bool:
        return self._done

    def read_head(self, head: Object) -> Iterable[FormatEvent] | None:
        match head:
            case {"item": {"type": "reasoning" | "error"}}:
                return []
            case {"item": {"id": str(name), "type": str(tool)}} if tool in _TOOLS:
                return [unread(tool, name)]
            case _:
                return None

    def failure(self, code: int) -> RunError | None:
        if self._error and not self._done:
            return agent_error(self._error)
        return None if code or self._done else incomplete()

    def _counted(self, usage: object) -> Iterator[FormatEvent]:
        match usage:
            case dict():
                spent = token_usage(
                    prompt=token_count(usage.get("input_tokens")), completion=token_count(usage.get("output_tokens"))
                )
                if self._thread:
                    yield AgentConversation(id=self._thread, spent=Tokens(**spent.model_dump()))
                yield spent

    def _item(self, phase: str, name: str, item: Object) -> Iterator[FormatEvent]:
        match item:
            case {"type": "agent_message", "text": str(text)}:
                if name not in self._texts:
                    yield NEW_MESSAGE
                yield self._texts[name].snapshot(text)
            case {"type": "reasoning", "text": str(text)}:
                if rest := self._texts[name].snapshot(text):
                    yield Reasoning(delta=rest)
            case {"type": str(tool)} if tool in _TOOLS:
                yield from self._tool(phase, name, tool, item)
            case {"type": "error"}:
                pass
            case _:
                yield skipped({"type": "item", "item": item.get("type")}, "item")

    def _tool(self, phase: str, name: str, tool: str, item: Object) -> Iterator[FormatEvent]:
        """Some tools have no line before `item.completed`."""
        given = {key: value for key, value in item.items() if key in _TOOLS[tool]}
        outcome = {key: value for key, value in item.items() if key not in {"id", "type", *_TOOLS[tool]}}
        if name not in self._started:
            self._started.add(name)
            yield ToolUse(phase="start", name=tool, tool_call_id=name, args=given)
        if phase == "updated":
            yield ToolUse(phase="update", name=tool, tool_call_id=name, result=outcome or given)
        if phase == "completed":
            yield ToolUse(phase="result", name=tool, tool_call_id=name, result=outcome or given)


def _message(error: object) -> str:
    match error:
        case {"message": str(message)}:
            return message
        case _:
            return ""
