"""The JSON-lines format: one object for each line of a command, or for each value that a Python agent yields.

    {"delta": "text"}                       text of the current assistant message
    {"message": true}                       a new assistant message begins
    {"retract": true}                       the current message broke off: it is no part of the answer
    {"stream": "tool", "data": {...}}       the data of `shared.run.events.ToolUse`
    {"stream": "call", "data": {...}}       of `ToolCallDelta`: one of the client's own tools, for the client to call
    {"stream": "reasoning", "data": {...}}  of `Reasoning`
    {"stream": "usage", "data": {...}}      of `Usage`
    {"finish": "length"}                    why the model stopped; without it, `stop`
    {"error": {"message": "..."}}           the run fails, and the client gets the message

An object has the keys of one form and no others, so that a slip shows at once. Inside `data` and `error`, the parser
ignores unknown keys, and names may be camelCase or snake_case.
"""

from __future__ import annotations

import json
import reprlib
from collections.abc import Iterator

from pydantic import ValidationError

from shared.run.errors import ErrorCode, RunError
from shared.run.events import Delta, FinishReason, Reasoning, Retraction, ToolCallDelta, ToolUse, Usage
from shared.run.text import well_formed
from worker.agents.protocol import AgentEvent, Finished

_STREAMS = {kind.stream: kind for kind in (ToolUse, ToolCallDelta, Reasoning, Usage)}
_REASONS = frozenset(FinishReason)
_MESSAGE = 1_000  # characters of an agent's own error message that a client gets

_repr = reprlib.Repr()  # bounded, and survives an object whose repr raises
_repr.maxstring = _repr.maxother = 200


class AgentEventParser:
    """Turns an agent's lines or values into events, and numbers its assistant messages.

    A message gets its number when its first text comes, so that no number is left out and `{"message": true}` without
    text leaves no trace. Every method raises RunError and nothing else.
    """

    def __init__(self) -> None:
        self._message = 0
        self._calls = 0  # of the client's tools
        self._begun = False  # whether the current message has text
        self._reason = FinishReason.STOP  # the last one that the agent sent; `stop` without any

    def parse_line(self, line: bytes) -> Iterator[AgentEvent]:
        """The events of one line, which is an object of the format."""
        try:
            value: object = json.loads(line.decode(errors="replace"))
        except (ValueError, RecursionError):
            raise _broken("The agent printed a line that is not JSON.", line) from None
        if not isinstance(value, dict):
            raise _broken("The agent printed a line that is not a JSON object.", line)
        return self.parse_value(value)

    def parse_value(self, value: object) -> Iterator[AgentEvent]:
        """The events of a value that a Python agent yields or returns: text, an object of the format, or an event."""
        match value:
            case None:
                pass
            case str():
                yield from self._text(value)
            case Delta(delta=text, message=message):
                self._message, self._begun = message, True
                yield Delta(delta=well_formed(text), message=message)
            case Retraction(message=message):
                self._message, self._begun = message + 1, False
                yield value
            case Finished(reason=reason):
                yield from self._finished(reason)
            case ToolUse() | ToolCallDelta() | Reasoning() | Usage():
                yield self._checked(_of_stream(value.stream, value.model_dump()))
            case dict():
                yield from self._object(value)
            case _:
                name = type(value).__name__
                raise _broken(f"The agent gave a value of type {name}; text or an event was expected.", value)

    def _object(self, value: dict[object, object]) -> Iterator[AgentEvent]:
        match value:
            case {"delta": str(text)} if len(value) == 1:
                yield from self._text(text)
            case {"message": True} if len(value) == 1:
                self._next_message()
            case {"retract": True} if len(value) == 1:
                if self._begun:
                    yield Retraction(message=self._message)
                self._next_message()
            case {"stream": str(stream), "data": dict(data)} if len(value) == 2 and stream in _STREAMS:
                yield self._checked(_of_stream(stream, data))
            case {"finish": str(reason)} if len(value) == 1 and reason in _REASONS:
                yield from self._finished(FinishReason(reason))
            case {"error": {"message": str(message)}} if len(value) == 1:
                raise RunError(ErrorCode.AGENT_FAILED, well_formed(message)[:_MESSAGE] or "The agent failed.")
            case _:
                raise _broken("The agent sent an object that is none of the format's.", value)

    def _next_message(self) -> None:
        self._message, self._begun = self._message + self._begun, False

    def _text(self, text: str) -> Iterator[AgentEvent]:
        if text:
            self._begun = True
            yield Delta(delta=well_formed(text), message=self._message)

    def _checked(self, event: AgentEvent) -> AgentEvent:
        """Calls come in order. The first piece of a call has an id and a name, and no later piece has either."""
        if isinstance(event, ToolCallDelta):
            begins = bool(event.id and event.name) and event.index == self._calls
            goes_on = not (event.id or event.name) and event.index < self._calls
            if not (begins or goes_on):
                raise _broken("The agent sent a call that neither begins with id and name nor goes on.", event)
            self._calls += begins
        return event

    def _finished(self, reason: FinishReason) -> Iterator[AgentEvent]:
        if reason is not self._reason:
            self._reason = reason
            yield Finished(reason=reason)


def _of_stream(stream: str, data: object) -> AgentEvent:
    try:
        # To text and back, so that any object of a Python agent is sure to fit into the log.
        plain: object = json.loads(well_formed(json.dumps(data, ensure_ascii=False, allow_nan=False)))
        return _STREAMS[stream].model_validate(plain)
    except ValidationError as wrong:
        first = wrong.errors()[0]
        place = ".".join(map(str, first["loc"][:3]))
        message = f"The agent sent a {stream} event with a wrong `{place}`: {first['msg']}."
        raise _broken(message, data) from None
    except (TypeError, ValueError, RecursionError) as wrong:
        raise _broken(f"The agent sent a {stream} event that is not JSON.", wrong) from None


def _broken(message: str, seen: object) -> RunError:
    text = seen.decode(errors="replace") if isinstance(seen, bytes) else seen
    return RunError(ErrorCode.AGENT_PROTOCOL_ERROR, message, detail=_repr.repr(text))
