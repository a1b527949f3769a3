"""Gemini CLI: `gemini --output-format stream-json`.

Text comes in pieces without the number of its message: a tool call is where one message ends and the next begins. The
CLI prints no thoughts. Its exit codes have meanings. For an error of the model's server it prints a `result`, and its
exit code is the HTTP status, cut to a byte.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from shared.run.errors import ErrorCode, RunError
from shared.run.events import ToolUse, Usage
from worker.agents.agent_errors import agent_error, incomplete
from worker.agents.command.formats.format import NEW_MESSAGE, FormatEvent, Object, skipped, unread
from worker.agents.protocol import AgentConversation
from worker.agents.token_counts import token_count

_EXITS = {
    41: "The agent could not authenticate itself to its model.",
    42: "The agent did not accept its input.",
    44: "The agent's sandbox failed.",
    52: "The agent's configuration is wrong.",
    53: "The agent has reached its limit of turns.",
    54: "A tool of the agent failed for good.",
    55: "The agent does not trust its working directory.",
}


class Gemini:
    busy = False  # it tells of no work in the background

    def __init__(self) -> None:
        self._tools: dict[str, str] = {}  # name by id, for results
        self._error = ""  # the last one
        self._told_end = self._done = False

    def read(self, printed: Object) -> Iterator[FormatEvent]:
        match printed:
            case {"type": "message", "role": "assistant", "content": str(text)}:
                yield text
            case {"type": "tool_use", "tool_name": str(name), "tool_id": str(call)}:
                self._tools[call] = name
                yield ToolUse(phase="start", name=name, tool_call_id=call, args=printed.get("parameters"))
                yield NEW_MESSAGE
            case {"type": "tool_result", "tool_id": str(call)}:
                yield ToolUse(
                    phase="result", name=self._tools.get(call, ""), tool_call_id=call, result=_outcome(printed)
                )
            case {"type": "error", "message": str(message)}:
                self._error = message if printed.get("severity") != "warning" else self._error
            case {"type": "result"}:
                yield from self._result(printed)
            case {"type": "init", "session_id": str(conversation)}:
                yield AgentConversation(id=conversation)
            case {"type": "init" | "message" | "error"}:
                pass
            case _:
                yield skipped(printed)

    @property
    def over(self) -> bool:
        return self._told_end

    def read_head(self, head: Object) -> Iterable[FormatEvent] | None:
        match head:
            case {"type": "tool_result", "tool_id": str(call)}:
                return [unread(self._tools.get(call, ""), call)]
            case {"type": "tool_use"}:
                return [NEW_MESSAGE]
            case _:
                return None

    def failure(self, code: int) -> RunError | None:
        if code in _EXITS:
            return RunError(ErrorCode.AGENT_FAILED, _EXITS[code], self._error)
        if self._error and not self._done:
            return agent_error(self._error, _status(code))
        return None if code or self._done else incomplete()

    def _result(self, printed: Object) -> Iterator[FormatEvent]:
        yield from _counted(printed)
        if printed.get("status") != "success":
            match printed.get("error"):
                case {"message": str(message)}:
                    self._error = message
            self._error = self._error or "The agent failed."
        self._told_end, self._done = True, printed.get("status") == "success"


def _status(code: int) -> int:
    return code + 256 if 400 <= code + 256 < 512 else 0


def _outcome(printed: Object) -> object:
    if printed.get("status") == "error":
        return {"error": printed.get("error") or printed.get("output")}
    return printed.get("output")


def _counted(printed: Object) -> Iterator[Usage]:
    match printed.get("stats"):
        case dict(stats):
            prompt, completion = token_count(stats.get("input_tokens")), token_count(stats.get("output_tokens"))
            # The total holds the tokens of thoughts too, which the CLI does not count as output.
            total = max(token_count(stats.get("total_tokens")), prompt + completion)
            yield Usage(prompt_tokens=prompt, completion_tokens=total - prompt, total_tokens=total)
