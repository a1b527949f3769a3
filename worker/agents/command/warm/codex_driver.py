"""Codex: `codex app-server`, JSON-RPC over lines.

A process has a thread, which the first turn starts in the directory of the session. A turn ends with `turn/completed`.
The app server prints text in pieces, which `codex exec` does not. Its items are those of `codex exec` with names in
camelCase, so the format of `codex exec` reads the tools. Other threads belong to subagents, and other turns to work
that the CLI has begun by itself; their events are not part of the answer.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import count as counter
from pathlib import Path

from shared.run.errors import RunError
from shared.run.events import Reasoning
from shared.run.release import RELEASE
from worker.agents.agent_errors import agent_error, incomplete
from worker.agents.command.formats.codex import Codex
from worker.agents.command.formats.format import BROKEN_OFF, NEW_MESSAGE, FormatEvent, Object
from worker.agents.command.formats.growing_text import GrowingText
from worker.agents.token_counts import token_count, token_usage

_NOT_SUPPORTED = {"code": -32601, "message": "No user is there to answer."}

# The fields of a tool that `codex exec` prints.
_TOOL_FIELDS = {
    "commandExecution": ("command", "aggregatedOutput", "exitCode", "status"),
    "fileChange": ("changes", "status"),
    "mcpToolCall": ("server", "tool", "arguments", "result", "error", "status"),
    "webSearch": ("query", "action"),
    "collabAgentToolCall": ("tool", "prompt", "status"),
}


class CodexDriver:
    def __init__(self) -> None:
        self.thread = ""
        self.spent = (0, 0)  # tokens of prompts and answers, of all turns so far
        self.ids = counter(1)

    def opening(self) -> Sequence[Object]:
        client = {"name": "runrelay", "version": RELEASE}
        return ({"id": 0, "method": "initialize", "params": {"clientInfo": client}}, {"method": "initialized"})

    def turn(self, prompt: str, folder: Path | None) -> CodexTurn:
        return CodexTurn(self, prompt, folder)

    def is_unsolicited(self, printed: Object) -> bool:
        return str(printed.get("method")).startswith(("turn/", "item/"))


class CodexTurn:
    last = False
    again = True  # each event has the id of its turn
    busy = False  # it tells of no work in the background

    def __init__(self, driver: CodexDriver, prompt: str, folder: Path | None) -> None:
        self.over = False
        self._driver = driver
        self._prompt = prompt
        self._before = driver.spent
        self._texts: dict[str, GrowingText] = defaultdict(GrowingText)  # by item
        self._begun: set[str] = set()  # messages, by item
        self._tools = Codex()
        self._completed = False
        self._turn = ""  # its id
        self._message = ""  # the item that is written now
        self.outgoing: list[Object] = []
        self._requests: set[int] = set()  # ids of requests
        if driver.thread:
            self._start()
        else:
            where = {"cwd": str(folder.absolute())} if folder else {}
            self._request("thread/start", {**where, "ephemeral": True})

    def read(self, printed: Object) -> Iterator[FormatEvent]:
        match printed:
            case {"id": name, "method": str()}:
                self.outgoing.append({"id": name, "error": _NOT_SUPPORTED})
            case {"id": int(name), "error": dict(error)} if name in self._requests:
                raise agent_error(str(error.get("message")))
            case {"id": int(name), "result": {"thread": {"id": str(thread)}}} if name in self._requests:
                self._driver.thread = thread
                self._start()
            case {"id": int(name), "result": {"turn": {"id": str(turn)}}} if name in self._requests:
                self._turn = turn
            case {"method": str(method), "params": dict(params)} if self._is_ours(method, params):
                yield from self._notification(method, params)

    def read_head(self, head: Object) -> Iterable[FormatEvent] | None:
        match head:
            case {"method": "item/completed" | "item/started", "params": {"item": {"type": str(kind)}}}:
                return None if kind == "agentMessage" else []
            case {"method": str(method)} if method.startswith("item/"):
                return []  # `item/completed` repeats what a delta had
            case _:
                return None

    def _is_ours(self, method: str, params: Object) -> bool:
        """Whether the event belongs to this turn. A turn of the CLI's own has another id. Counts of tokens and releases
        that print no id are the thread's."""
        if params.get("threadId") != self._driver.thread:
            return False
        match params:
            case {"turnId": str(turn)} | {"turn": {"id": str(turn)}}:
                return turn == self._turn or method == "thread/tokenUsage/updated"
            case _:
                return True

    def failure(self, code: int) -> RunError | None:
        return None if code or self._completed else incomplete()

    def _start(self) -> None:
        text = {"type": "text", "text": self._prompt}
        self._request("turn/start", {"threadId": self._driver.thread, "input": [text]})

    def _request(self, method: str, params: Object) -> None:
        name = next(self._driver.ids)
        self._requests.add(name)
        self.outgoing.append({"id": name, "method": method, "params": params})

    def _notification(self, method: str, params: Object) -> Iterator[FormatEvent]:
        match method, params:
            case "item/agentMessage/delta", {"itemId": str(item), "delta": str(text)}:
                yield from self._message_text(item, self._texts[item].add(text))
            case "item/reasoning/summaryTextDelta", {"itemId": str(item), "delta": str(text)}:
                yield Reasoning(delta=self._texts[item].add(text))
            case "item/reasoning/summaryPartAdded", {"itemId": str(item), "summaryIndex": int(index)} if index:
                yield Reasoning(delta=self._texts[item].add("\n\n"))
            case "item/started" | "item/completed", {"item": dict(item)}:
                yield from self._item(method.removeprefix("item/"), str(item.get("id")), item)
            case "thread/tokenUsage/updated", {"tokenUsage": {"total": dict(total)}}:
                yield from self._counted(total)
            case "turn/completed", {"turn": dict(turn)}:
                self._end(turn)

    def _item(self, phase: str, name: str, item: Object) -> Iterator[FormatEvent]:
        match item:
            case {"type": "agentMessage", "text": str(text)}:
                if not self._texts[name].continues(text):  # a piece was damaged
                    yield BROKEN_OFF
                    self._texts[name] = GrowingText()
                yield from self._message_text(name, self._texts[name].snapshot(text))
                if phase == "completed" and name == self._message:
                    self._message = ""
            case {"type": "reasoning", "summary": list(parts)}:
                if rest := self._texts[name].snapshot("\n\n".join(map(str, parts))):
                    yield Reasoning(delta=rest)
            case {"type": str(kind)} if kind in _TOOL_FIELDS:
                fields = {_snake(key): item[key] for key in _TOOL_FIELDS[kind] if key in item}
                tool = {**fields, "type": _snake(kind).replace("_agent_", "_"), "id": name}
                yield from self._tools.read({"type": f"item.{phase}", "item": tool})

    def _message_text(self, item: str, text: str) -> Iterator[FormatEvent]:
        if text and item not in self._begun:
            self._begun.add(item)
            yield BROKEN_OFF if self._message else NEW_MESSAGE
            self._message = item
        yield text

    def _counted(self, total: Object) -> Iterator[FormatEvent]:
        self._driver.spent = token_count(total.get("inputTokens")), token_count(total.get("outputTokens"))
        prompt, completion = (after - before for after, before in zip(self._driver.spent, self._before, strict=True))
        yield token_usage(prompt=max(prompt, 0), completion=max(completion, 0))

    def _end(self, turn: Object) -> None:
        match turn:
            case {"status": "completed"}:
                self.over = self._completed = True
            case {"error": {"message": str(message)}}:
                raise agent_error(message)
            case _:
                raise agent_error(f"The turn is {turn.get('status')}.")


def _snake(name: str) -> str:
    return re.sub(r"[A-Z]", lambda found: f"_{found[0].lower()}", name)
