"""Claude Code: `claude -p --output-format stream-json --verbose --include-partial-messages`.

Each line has a `type`. A `stream_event` is one of the model API's own events. `assistant` repeats a part of the message
as a whole; without `--include-partial-messages` the CLI prints no other text. `user` holds the results of tools.
`result` comes last. A line of a subagent has the id of its tool call in `parent_tool_use_id`: the format reads its
tools, and its text is not part of the answer. The CLI makes up a message of the model `<synthetic>` to show an error,
which `result` has too.
"""

from __future__ import annotations

from collections.abc import Iterator

from shared.run.errors import ErrorCode, RunError
from shared.run.events import Reasoning, ToolUse, Usage
from worker.agents.agent_errors import agent_error, incomplete
from worker.agents.command.formats.format import NEW_MESSAGE, FormatEvent, Object, finished, objects, skipped
from worker.agents.command.formats.growing_text import GrowingText
from worker.agents.protocol import AgentConversation
from worker.agents.token_counts import token_count, token_usage

_LIMITS = {
    "error_max_turns": "The agent has reached its limit of turns.",
    "error_max_budget_usd": "The agent has reached its limit of costs.",
}


class Claude:
    def __init__(self) -> None:
        self._message = ""  # id of the current assistant message
        self._cut_off = False  # the model met its limit: the CLI has it continue in another message
        self._streamed = False  # whether the message came in pieces
        self._text = GrowingText()  # of the current part of the message
        self._thought = GrowingText()
        self._has_text = False
        self._tools: dict[str, str] = {}  # name by id, for results
        self._done = False

    def read(self, printed: Object) -> Iterator[FormatEvent]:
        match printed:
            case {"type": "stream_event", "event": dict(event)}:
                yield from () if printed.get("parent_tool_use_id") else self._streaming(event)
            case {"type": "assistant", "message": dict(message)}:
                yield from self._assistant(message, subagent=bool(printed.get("parent_tool_use_id")))
            case {"type": "user", "message": dict(message)}:
                yield from (tool for part in objects(message.get("content")) for tool in self._result_of_tool(part))
            case {"type": "result"}:
                yield from self._result(printed)
            case {"type": "system", "subtype": "init", "session_id": str(conversation)}:
                yield AgentConversation(id=conversation)
            case {"type": "system" | "user" | "rate_limit_event" | "tool_progress"}:
                pass
            case _:
                yield skipped(printed)

    def failure(self, code: int) -> RunError | None:
        return None if code or self._done else incomplete()

    def _streaming(self, event: Object) -> Iterator[FormatEvent]:
        match event:
            case {"type": "message_start", "message": {"id": str(name)}}:
                yield from self._begin(name)
                self._streamed = True
            case {"type": "content_block_start"}:
                self._text, self._thought = GrowingText(), GrowingText()
            case {"type": "content_block_delta", "delta": {"type": "text_delta", "text": str(text)}}:
                yield from self._new_text(self._text.add(text))
            case {"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": str(text)}}:
                yield Reasoning(delta=self._thought.add(text))
            case {"type": "message_delta", "delta": {"stop_reason": reason}}:
                self._cut_off = reason == "max_tokens"

    def _begin(self, message: str) -> Iterator[FormatEvent]:
        if message != self._message and not self._cut_off:
            yield NEW_MESSAGE
        if message != self._message:
            self._text, self._thought = GrowingText(), GrowingText()
            self._message, self._cut_off, self._streamed = message, False, False

    def _assistant(self, message: Object, *, subagent: bool) -> Iterator[FormatEvent]:
        parts = objects(message.get("content"))
        if message.get("model") != "<synthetic>" and not subagent:
            yield from self._begin(str(message.get("id")))
            yield from (event for part in parts for event in self._part(part))
        yield from (tool for part in parts for tool in self._call_of_tool(part))

    def _part(self, part: Object) -> Iterator[FormatEvent]:
        """The text of a whole part. If the message came in pieces, only the text that the pieces left out."""
        if not self._streamed:
            self._text, self._thought = GrowingText(), GrowingText()
        match part:
            case {"type": "text", "text": str(text)}:
                yield from self._new_text(self._text.snapshot(text))
            case {"type": "thinking", "thinking": str(text)} if rest := self._thought.snapshot(text):
                yield Reasoning(delta=rest)

    def _new_text(self, text: str) -> Iterator[FormatEvent]:
        if text:
            self._has_text = True
            yield text

    def _call_of_tool(self, part: Object) -> Iterator[FormatEvent]:
        match part:
            case {"type": "tool_use" | "server_tool_use", "id": str(call), "name": str(name)}:
                self._tools[call] = name
                yield ToolUse(phase="start", name=name, tool_call_id=call, args=part.get("input"))

    def _result_of_tool(self, part: Object) -> Iterator[FormatEvent]:
        match part:
            case {"type": "tool_result", "tool_use_id": str(call)}:
                content = part.get("content")
                result = {"error": content} if part.get("is_error") is True else content
                yield ToolUse(phase="result", name=self._tools.get(call, ""), tool_call_id=call, result=result)

    def _result(self, printed: Object) -> Iterator[FormatEvent]:
        yield from _counted(printed)
        if printed.get("is_error") is True or printed.get("subtype") != "success":
            raise _failure(printed)
        self._done = True
        yield finished(printed.get("stop_reason"))
        text = printed.get("result")
        if isinstance(text, str) and not self._has_text:  # such as the answer of a slash command
            yield text


def _counted(printed: Object) -> Iterator[Usage]:
    match printed.get("usage"):
        case dict(usage):
            cached = token_count(usage.get("cache_creation_input_tokens")) + token_count(
                usage.get("cache_read_input_tokens")
            )
            yield token_usage(
                prompt=token_count(usage.get("input_tokens")) + cached,
                completion=token_count(usage.get("output_tokens")),
            )


def _failure(printed: Object) -> RunError:
    subtype, words, errors = printed.get("subtype"), printed.get("result"), printed.get("errors")
    if isinstance(subtype, str) and subtype in _LIMITS:
        return RunError(ErrorCode.AGENT_FAILED, _LIMITS[subtype])
    if not isinstance(words, str):
        words = "\n".join(map(str, errors)) if isinstance(errors, list) else ""
    return agent_error(words, token_count(printed.get("api_error_status")))
