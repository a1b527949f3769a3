"""Claude Code: `claude -p --output-format stream-json --verbose --include-partial-messages`.

Each line has a `type`. A `stream_event` is one of the model API's own events. `assistant` repeats a part of the message
as a whole; without `--include-partial-messages` the CLI prints no other text. `user` holds the results of tools.
`result` comes last. A line of a subagent has the id of its tool call in `parent_tool_use_id`: the format reads its
tools, and its text is not part of the answer. The CLI makes up a message of the model `<synthetic>` to show an error or
a notice, which `result` has too.

A `result` is not the end while commands or subagents work in the background: when one of them has ended, the CLI begins
another turn by itself. A message has broken off when text came in pieces and then neither as a whole nor with a reason
to stop, or when the CLI says before that reason that it asks the model again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from shared.run.errors import ErrorCode, RunError
from shared.run.events import Reasoning, ToolUse, Usage
from worker.agents.agent_errors import agent_error, incomplete, is_limit
from worker.agents.command.formats.format import (
    BROKEN_OFF,
    NEW_MESSAGE,
    FormatEvent,
    Object,
    finished,
    objects,
    skipped,
    unread,
)
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
        self._said = ""  # the current message of the answer
        self._open = False  # text of the message has come in pieces, and not as a whole
        self._stopped = False  # the message has a reason to stop
        self._notice = ""  # the last text of a made-up message
        self._tools: dict[str, str] = {}  # name by id, for results
        self._background: set[str] = set()  # ids of tasks that are under way
        self._done = False
        self._spent = (0, 0)  # tokens of prompts and answers, of all turns so far
        self._resets: int | None = None  # when the limit of the CLI's plan is over, in s since the epoch
        self.worked_aside = False  # a task in the background has begun

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
                self._done = False
            case {"type": "system", "subtype": str(kind)}:
                self._follow(kind, printed)
            case {"type": "rate_limit_event", "rate_limit_info": {"resetsAt": int(seconds)}}:
                self._resets = seconds
            case {"type": "system" | "user" | "rate_limit_event" | "tool_progress" | "command_lifecycle"}:
                pass
            case _:
                yield skipped(printed)

    @property
    def told_end(self) -> bool:
        """Whether the last turn has its result, although another may follow."""
        return self._done

    @property
    def over(self) -> bool:
        return self._done and not self._background

    @property
    def busy(self) -> bool:
        return bool(self._background)

    def read_head(self, head: Object) -> Iterable[FormatEvent] | None:
        match head:
            case {"type": "user", "message": {"content": [{"tool_use_id": str(call)}, *_]}}:
                return [unread(self._tools.get(call, ""), call)]
            case {"type": "user" | "system" | "stream_event" | "rate_limit_event" | "tool_progress"}:
                return []  # the line `assistant` repeats a `stream_event`
            case _:
                return None

    def failure(self, code: int) -> RunError | None:
        return None if code or self._done else incomplete()

    def _follow(self, kind: str, printed: Object) -> None:
        """Notes what works in the background, and that the CLI asks the model again."""
        match kind, printed:
            case "api_retry", _:
                self._open = bool(self._said) and self._streamed and not self._stopped
            case "background_tasks_changed", {"tasks": list(tasks)}:
                self._background = {str(task.get("task_id")) for task in objects(tasks)}
            case "task_started", {"task_id": str(task)} if printed.get("is_backgrounded") is not False:
                self._background.add(task)
            case "task_updated", {"task_id": str(task), "patch": {"status": str(status)}}:
                if status not in ("pending", "running"):
                    self._background.discard(task)
            case "task_notification", {"task_id": str(task)}:
                self._background.discard(task)
        self.worked_aside = self.worked_aside or bool(self._background)

    def _streaming(self, event: Object) -> Iterator[FormatEvent]:
        match event:
            case {"type": "message_start", "message": {"id": str(name)}}:
                yield from self._begin(name)
                self._streamed, self._done = True, False
            case {"type": "content_block_start"}:
                self._text, self._thought = GrowingText(), GrowingText()
            case {"type": "content_block_delta", "delta": {"type": "text_delta", "text": str(text)}}:
                self._open = True
                yield from self._new_text(self._text.add(text))
            case {"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": str(text)}}:
                yield Reasoning(delta=self._thought.add(text))
            case {"type": "message_delta", "delta": {"stop_reason": reason}}:
                self._cut_off = reason == "max_tokens"
                self._stopped = reason is not None
                self._open = self._open and not self._stopped

    def _begin(self, message: str) -> Iterator[FormatEvent]:
        if message != self._message and not self._cut_off:
            yield from self._next()
        if message != self._message:
            self._text, self._thought = GrowingText(), GrowingText()
            self._message, self._cut_off, self._streamed, self._stopped = message, False, False, False

    def _next(self) -> Iterator[FormatEvent]:
        yield BROKEN_OFF if self._open else NEW_MESSAGE
        self._said, self._open = "", False

    def _assistant(self, message: Object, *, subagent: bool) -> Iterator[FormatEvent]:
        parts = objects(message.get("content"))
        if message.get("model") == "<synthetic>":
            self._notice = "\n".join(str(part.get("text", "")) for part in parts)
        elif not subagent:
            self._done = False
            yield from self._begin(str(message.get("id")))
            yield from (event for part in parts for event in self._part(part))
        yield from (tool for part in parts for tool in self._call_of_tool(part))

    def _part(self, part: Object) -> Iterator[FormatEvent]:
        """The text of a whole part. If the message came in pieces, only the text that the pieces left out."""
        if not self._streamed:
            self._text, self._thought = GrowingText(), GrowingText()
        match part:
            case {"type": "text", "text": str(text)}:
                if not self._text.continues(text):  # a piece was damaged
                    before = self._said.removesuffix(str(self._text))
                    yield BROKEN_OFF
                    self._said, self._text = "", GrowingText()
                    yield from self._new_text(before)
                yield from self._new_text(self._text.snapshot(text))
                self._open = False
            case {"type": "thinking", "thinking": str(text)} if rest := self._thought.snapshot(text):
                yield Reasoning(delta=rest)

    def _new_text(self, text: str) -> Iterator[FormatEvent]:
        if text:
            self._said += text
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
        yield from self._counted(printed)
        if printed.get("is_error") is True or printed.get("subtype") != "success":
            raise _failure(printed, self._resets)
        self._done = True
        yield finished(printed.get("stop_reason"))
        match printed.get("result"):
            case str(text) if text.strip():
                self._check_notice(text, printed)
                if self._open or not self._said.strip().endswith(text.strip()):
                    yield from self._next()
                    yield from self._new_text(text)
            case _ if self._open:
                raise incomplete()

    def _check_notice(self, text: str, printed: Object) -> None:
        """Raises RunError when the result is a notice of the CLI's own. A slash command's answer is none, although the
        CLI prints it in the same way; only turns of the model have a `terminal_reason`."""
        if text.strip() == self._notice.strip() and ("terminal_reason" in printed or is_limit(text)):
            raise agent_error(text, retry_at=self._resets)

    def _counted(self, printed: Object) -> Iterator[Usage]:
        match printed.get("usage"):
            case dict(usage):
                names = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
                prompt, completion = self._spent
                prompt += sum(token_count(usage.get(name)) for name in names)
                completion += token_count(usage.get("output_tokens"))
                self._spent = prompt, completion
                yield token_usage(prompt=prompt, completion=completion)


def _failure(printed: Object, resets: int | None) -> RunError:
    subtype, words, errors = printed.get("subtype"), printed.get("result"), printed.get("errors")
    if isinstance(subtype, str) and subtype in _LIMITS:
        return RunError(ErrorCode.AGENT_FAILED, _LIMITS[subtype])
    if not isinstance(words, str):
        words = "\n".join(map(str, errors)) if isinstance(errors, list) else ""
    return agent_error(words, token_count(printed.get("api_error_status")), retry_at=resets)
