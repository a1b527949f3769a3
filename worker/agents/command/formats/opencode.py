"""opencode: `opencode run --format json`.

Each line has one part of a message: `text` and `reasoning` as a whole, when the part is complete; `tool_use` when the
tool has ended; `step_finish` with the tokens of the step. No line ends an answer: an answer is complete when the CLI
exits with 0 after its last step. After an `error` line the CLI exits with 1 in any case.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from shared.run.errors import RunError
from shared.run.events import Reasoning, ToolUse
from worker.agents.agent_errors import agent_error, incomplete
from worker.agents.command.formats.format import NEW_MESSAGE, FormatEvent, Object, finished, skipped, unread
from worker.agents.command.formats.growing_text import GrowingText
from worker.agents.protocol import AgentConversation
from worker.agents.token_counts import token_count, token_usage


class OpenCode:
    busy = False  # it tells of no work in the background

    def __init__(self) -> None:
        self._message = ""  # id of the current assistant message
        self._texts: dict[str, GrowingText] = defaultdict(GrowingText)  # by part
        self._prompt = 0  # tokens of all steps so far
        self._completion = 0
        self._error: RunError | None = None
        self._done = False

    def read(self, printed: Object) -> Iterator[FormatEvent]:
        match printed.get("sessionID"):
            case str(conversation):
                yield AgentConversation(id=conversation)
        match printed:
            case {"type": "text", "part": {"id": str(part), "messageID": str(message), "text": str(text)}}:
                if message != self._message:
                    self._message = message
                    yield NEW_MESSAGE
                yield self._texts[part].snapshot(text)
            case {"type": "reasoning", "part": {"id": str(part), "text": str(text)}}:
                if rest := self._texts[part].snapshot(text):
                    yield Reasoning(delta=rest)
            case {"type": "tool_use", "part": {"tool": str(name), "callID": str(call), "state": dict(state)}}:
                yield ToolUse(phase="start", name=name, tool_call_id=call, args=state.get("input"))
                yield ToolUse(phase="result", name=name, tool_call_id=call, result=_outcome(state))
            case {"type": "step_finish", "part": dict(part)}:
                yield self._counted(part)
                yield finished(part.get("reason"))
                self._done = part.get("reason") != "tool-calls"
            case {"type": "error", "error": error}:
                self._error = self._error or _failure(error)
            case {"type": "step_start"}:
                self._done = False
            case _:
                yield skipped(printed)

    @property
    def over(self) -> bool:
        return False  # after its last step the CLI may begin another one, such as after it has compacted the history

    def read_head(self, head: Object) -> Iterable[FormatEvent] | None:
        match head:
            case {"type": "tool_use", "part": dict(part)}:
                name, call = str(part.get("tool", "")), str(part.get("callID", ""))
                return [unread(name, call)]
            case {"type": "reasoning" | "step_start"}:
                return []
            case _:
                return None

    def failure(self, code: int) -> RunError | None:
        if self._error:
            return self._error
        return None if code or self._done else incomplete()

    def _counted(self, part: Object) -> FormatEvent:
        match part.get("tokens"):
            case dict(spent):
                match spent.get("cache"):
                    case dict(cache):
                        self._prompt += token_count(cache.get("read")) + token_count(cache.get("write"))
                self._prompt += token_count(spent.get("input"))
                self._completion += token_count(spent.get("output")) + token_count(spent.get("reasoning"))
        return token_usage(prompt=self._prompt, completion=self._completion)


def _outcome(state: Object) -> object:
    return {"error": state.get("error")} if state.get("status") == "error" else state.get("output")


def _failure(error: object) -> RunError:
    match error:
        case {"data": {"message": str(message)} as data}:
            return agent_error(message, token_count(data.get("statusCode")))
        case {"name": str(name)}:
            return agent_error(name)
        case _:
            return agent_error("")
