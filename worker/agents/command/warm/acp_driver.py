"""The Agent Client Protocol, version 1: `gemini --acp` and `opencode acp`. JSON-RPC over lines.

A process has a session, which the first turn starts in the directory of ours. A turn is a request `session/prompt`, and
the response with its id ends it. In between come `session/update`s; those of another session belong to a subagent. A
message is known by its id or, where the CLI prints none, ends with the next tool. No user is there to allow anything: a
request for permission gets the answer that rejects it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import count as counter
from pathlib import Path

from shared.run.errors import ErrorCode, RunError
from shared.run.events import Reasoning, ToolUse
from shared.run.release import RELEASE
from worker.agents.agent_errors import agent_error, incomplete
from worker.agents.command.formats.format import (
    NEW_MESSAGE,
    FormatEvent,
    Object,
    finished,
    objects,
    skipped,
    unread,
)
from worker.agents.token_counts import token_count, token_usage

_NOT_SUPPORTED = {"code": -32601, "message": "No user is there to answer."}
_SILENT = {
    "available_commands_update",
    "config_option_update",
    "current_mode_update",
    "plan",
    "session_info_update",
    "usage_update",
    "user_message_chunk",
}
_WORK = {"agent_message_chunk", "agent_thought_chunk", "tool_call", "tool_call_update"}
_STOPPED = {
    "max_turn_requests": RunError(ErrorCode.AGENT_FAILED, "The agent has reached its limit of turns."),
    "cancelled": RunError(ErrorCode.AGENT_FAILED, "The agent cancelled the turn."),
}


class AcpDriver:
    def __init__(self) -> None:
        self.session = ""
        self.ids = counter(1)

    def opening(self) -> Sequence[Object]:
        abilities = {"fs": {"readTextFile": False, "writeTextFile": False}, "terminal": False}
        client = {"name": "runrelay", "version": RELEASE}
        params = {"protocolVersion": 1, "clientCapabilities": abilities, "clientInfo": client}
        return ({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params},)

    def turn(self, prompt: str, folder: Path | None) -> AcpTurn:
        return AcpTurn(self, prompt, (folder or Path.cwd()).absolute())

    def is_unsolicited(self, printed: Object) -> bool:
        match printed:
            case {"method": "session/update", "params": {"update": {"sessionUpdate": kind}}}:
                return kind in _WORK
            case _:
                return False


class AcpTurn:
    last = False
    again = True  # the response that ends a turn has the id of its request
    busy = False  # it tells of no work in the background

    def __init__(self, driver: AcpDriver, prompt: str, folder: Path) -> None:
        self.over = False
        self.outgoing: list[Object] = []
        self._driver = driver
        self._prompt = prompt
        self._message: object = None  # id of the current one
        self._tools: dict[str, str] = {}  # names, by the ids of calls
        self._start = self._answer = -1  # ids of requests
        if driver.session:
            self._ask()
        else:
            self._start = self._request("session/new", {"cwd": str(folder), "mcpServers": []})

    def read(self, printed: Object) -> Iterator[FormatEvent]:
        match printed:
            case {"id": name, "method": "session/request_permission", "params": dict(params)}:
                self._reply(name, {"result": {"outcome": _rejection(params)}})
            case {"id": name, "method": str()}:
                self._reply(name, {"error": _NOT_SUPPORTED})
            case {"id": name, "error": dict(error)} if name in (0, self._start, self._answer):
                raise _failure(error)
            case {"id": self._start, "result": {"sessionId": str(session)}}:
                self._driver.session = session
                self._ask()
            case {"id": self._answer, "result": dict(result)}:
                yield from self._end(result)
            case {"method": "session/update", "params": {"sessionId": self._driver.session, "update": dict(update)}}:
                if self._answer >= 0:
                    yield from self._update(update)

    def read_head(self, head: Object) -> Iterable[FormatEvent] | None:
        match head:
            case {"params": {"update": {"sessionUpdate": "tool_call_update", "toolCallId": str(call)}}}:
                return [unread(self._tools.get(call, ""), call)]
            case {"params": {"update": {"sessionUpdate": str(kind)}}}:
                return None if kind == "agent_message_chunk" else []
            case _:
                return None

    def failure(self, code: int) -> RunError | None:
        return None if code or self.over else incomplete()

    def _ask(self) -> None:
        text = {"type": "text", "text": self._prompt}
        self._answer = self._request("session/prompt", {"sessionId": self._driver.session, "prompt": [text]})

    def _request(self, method: str, params: Object) -> int:
        name = next(self._driver.ids)
        self.outgoing.append({"jsonrpc": "2.0", "id": name, "method": method, "params": params})
        return name

    def _reply(self, name: object, outcome: Object) -> None:
        self.outgoing.append({"jsonrpc": "2.0", "id": name, **outcome})

    def _update(self, update: Object) -> Iterator[FormatEvent]:
        match update:
            case {"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": str(text)}}:
                if update.get("messageId") != self._message:
                    self._message = update.get("messageId")
                    yield NEW_MESSAGE
                yield text
            case {"sessionUpdate": "agent_thought_chunk", "content": {"type": "text", "text": str(text)}}:
                yield Reasoning(delta=text.removeprefix("****\n"))  # Gemini CLI's title of a thought without one
            case {"sessionUpdate": "tool_call" | "tool_call_update", "toolCallId": str(call)}:
                yield from self._tool(call, update)
            case {"sessionUpdate": str(kind)} if kind in _SILENT:
                pass
            case _:
                yield skipped({"type": "session/update", "update": update.get("sessionUpdate")}, "update")

    def _tool(self, call: str, update: Object) -> Iterator[FormatEvent]:
        if call not in self._tools:
            name, _, rest = call.partition("__")  # Gemini CLI's title is a sentence
            self._tools[call] = name if rest else str(update.get("title", ""))
            yield ToolUse.model_validate(
                {"phase": "start", "name": self._tools[call], "toolCallId": call, "args": update.get("rawInput")}
            )
            yield NEW_MESSAGE
        if update.get("status") in ("completed", "failed"):
            outcome = update.get("rawOutput", update.get("content"))
            result = {"error": outcome} if update.get("status") == "failed" else outcome
            yield ToolUse.model_validate(
                {"phase": "result", "name": self._tools[call], "toolCallId": call, "result": result}
            )

    def _end(self, result: Object) -> Iterator[FormatEvent]:
        yield from _counted(result)
        reason = result.get("stopReason")
        if isinstance(reason, str) and reason in _STOPPED:
            raise RunError(_STOPPED[reason].code, _STOPPED[reason].message)
        yield finished(reason)
        self.over = True


def _counted(result: Object) -> Iterator[FormatEvent]:
    match result:
        case {"usage": dict(usage)}:
            names = ("inputTokens", "cachedReadTokens", "cachedWriteTokens")
            prompt = sum(token_count(usage.get(name)) for name in names)
            yield token_usage(prompt=prompt, completion=token_count(usage.get("outputTokens")))
        case {"_meta": {"quota": {"token_count": dict(count)}}}:  # Gemini CLI's
            yield token_usage(
                prompt=token_count(count.get("input_tokens")), completion=token_count(count.get("output_tokens"))
            )


def _rejection(params: Object) -> Object:
    for option in objects(params.get("options")):
        if str(option.get("kind")).startswith("reject"):
            return {"outcome": "selected", "optionId": option.get("optionId")}
    return {"outcome": "cancelled"}


def _failure(error: Object) -> RunError:
    code, words = error.get("code"), str(error.get("message", ""))
    return agent_error(words, code if isinstance(code, int) and 400 <= code < 600 else 0)
