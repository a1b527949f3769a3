"""A run's events as OpenAI chat completions: chunk by chunk, or whole. Both have the same text,
except that chunks also have the messages that the agent retracted later.

Deliberate differences from an OpenAI server:
- The API sends the role chunk before the agent starts, so that a client knows at once that its request has arrived.
- A run without text gets a fixed text, because many clients take an empty answer for a broken one. A run that calls
  tools of the client gets none: its answer follows when the client has sent their results.
- The agent's own tools, reasoning and lifecycle are left out: chat clients have no place for them.
"""

from __future__ import annotations

from pydantic import JsonValue

from api.http import sse
from api.http.api_errors import ApiError, run_ended
from api.http.json_value import JsonObject, compact
from shared.run.events import (
    Cancelled,
    Completed,
    Delta,
    Event,
    Failed,
    Retraction,
    Tokens,
    ToolCallDelta,
    assert_ongoing,
)
from shared.run.flat_text import FlatText, WholeText
from shared.run.run import Run, ToolCall
from shared.run.tool_calls import ToolCallAssembler

EMPTY_ANSWER = "No response from Clawdbot."

_ROLE = b'{"index":0,"delta":{"role":"assistant"},"finish_reason":null}'
_CONTENT = b'{"index":0,"delta":{"content":', b'},"finish_reason":null}'


class ChatStream:
    """The frames of one run. `done` is true once it has returned `[DONE]`, after a finish chunk or an error.

    `with_seq`: each chunk carries the number of the event it shows (0 in the role chunk, before any event), for clients
    that reconnect.
    """

    def __init__(
        self,
        run: Run,
        *,
        include_usage: bool = False,
        empty_answer: str = EMPTY_ANSWER,
        with_seq: bool = False,
    ) -> None:
        self.done = False
        self._run_id = run.run_id
        self._text = FlatText()
        self._called = False
        self._empty_answer = empty_answer
        self._include_usage = include_usage
        self._with_seq = with_seq
        self._head = compact(_head(run, "chat.completion.chunk"))[:-1] + b',"choices":['

    def begin(self) -> bytes:
        return self._chunk(_ROLE, seq=0)

    def feed(self, event: Event) -> bytes:
        """The frames that show this event; empty for an event that a chat does not show."""
        match event.data:
            case Delta() as delta:
                return self._content(self._text.add(delta), event.seq)
            case ToolCallDelta() as piece:
                self._called = True
                return self._chunk(compact(_choice("delta", {"tool_calls": [_piece(piece)]})), event.seq)
            case Completed() as end:
                return self._finish(end, event.seq)
            case Failed() | Cancelled() as end:
                return self.fail(run_ended(self._run_id, end))
            case unshown:
                assert_ongoing(unshown)
                return b""

    def fail(self, failure: ApiError) -> bytes:
        """Ends the stream with an error. The error need not be an event of the run."""
        self.done = True
        return sse.data(failure.body) + sse.DONE

    def _content(self, text: str, seq: int) -> bytes:
        before, after = _CONTENT
        return self._chunk(before + compact(text) + after, seq) if text else b""

    def _finish(self, end: Completed, seq: int) -> bytes:
        self.done = True
        missing = b"" if self._called or not self._text.empty else self._content(self._empty_answer, seq)
        finish = self._chunk(compact(_choice("delta", {}, end.finish_reason)), seq)
        usage = self._chunk(b"", seq, usage=compact(_usage(end.usage))) if self._include_usage else b""
        return missing + finish + usage + sse.DONE

    def _chunk(self, choice: bytes, seq: int, usage: bytes = b"null") -> bytes:
        """One chunk, built by hand: there is one per delta, and a pydantic dump would cost more than all the rest."""
        tail = b'],"usage":' + usage if self._include_usage else b"]"
        number = b',"seq":%d}' % seq if self._with_seq else b"}"
        return sse.data(self._head + choice + tail + number)


class ChatFold:
    """Folds the events of one run into one completion."""

    def __init__(self, run: Run, *, empty_answer: str = EMPTY_ANSWER) -> None:
        self._run = run
        self._text = WholeText()
        self._calls = ToolCallAssembler()
        self._empty_answer = empty_answer

    def feed(self, event: Event) -> bytes | None:
        """The completion's JSON once the run has completed, None before. Raises ApiError when the run fails or is
        cancelled."""
        match event.data:
            case Delta() | Retraction() as text:
                self._text.feed(text)
            case ToolCallDelta() as piece:
                self._calls.add(piece)
            case Completed() as end:
                return self._completion(end)
            case Failed() | Cancelled() as end:
                raise run_ended(self._run.run_id, end)
            case unshown:
                assert_ongoing(unshown)
        return None

    def _completion(self, end: Completed) -> bytes:
        choice = _choice("message", self._message(), end.finish_reason)
        head = _head(self._run, "chat.completion")
        return compact({**head, "choices": [choice], "usage": _usage(end.usage)})

    def _message(self) -> JsonObject:
        text = str(self._text) or None
        if not self._calls:
            return {"role": "assistant", "content": self._empty_answer if text is None else text}
        return {"role": "assistant", "content": text, "tool_calls": [*map(_called, self._calls.whole)]}


def _head(run: Run, kind: str) -> JsonObject:
    return {"id": run.run_id, "object": kind, "created": run.created_ms // 1000, "model": run.model}


def _choice(name: str, content: JsonValue, finish_reason: str | None = None) -> JsonObject:
    return {"index": 0, name: content, "finish_reason": finish_reason}


def _piece(piece: ToolCallDelta) -> JsonObject:
    """One piece of a tool call. Clients concatenate the pieces, so the id and the name must be in one piece only."""
    first: JsonObject = {"id": piece.id, "type": "function"} if piece.id else {}
    function: JsonObject = {"name": piece.name} if piece.name else {}
    return {**piece.extra, "index": piece.index, **first, "function": {**function, "arguments": piece.arguments}}


def _called(call: ToolCall) -> JsonObject:
    function: JsonObject = {"name": call.name, "arguments": call.arguments}
    return {**call.extra, "id": call.id, "type": "function", "function": function}


def _usage(tokens: Tokens) -> JsonObject:
    return {
        "prompt_tokens": tokens.prompt_tokens,
        "completion_tokens": tokens.completion_tokens,
        "total_tokens": tokens.total_tokens,
    }
