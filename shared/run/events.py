"""What a run says: frozen values, one class per kind, and their JSON.

A `EventData` is what an agent or the worker has to say; an `Event` is a said thing with its place in the run's log. The
JSON of an event is the wire between worker and API and the text kept in the run's stream. Fields unknown to this
release are ignored and a `stream` unknown to it becomes `Unknown`, so that a newer worker may speak to an older API.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, JsonValue, Tag, TypeAdapter
from pydantic.alias_generators import to_camel

from shared.run.json_object import JsonObject


class Value(BaseModel):
    """A frozen value whose JSON has camelCase names."""

    # What failed to parse is a prompt or an answer, and an error's text may be logged.
    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True, hide_input_in_errors=True)


def empty(value: object) -> bool:
    """For `Field(exclude_if=empty)`: a field that is rarely there takes no place in the JSON of all others."""
    return not value


class StopReason(StrEnum):
    """Why a run was stopped from outside. Recorded before anything is killed."""

    USER = "user"  # somebody asked for it
    TIMEOUT = "timeout"  # the reader's own time is up
    DISCONNECT = "disconnect"  # the last reader of a foreground run has left
    DRAIN = "drain"  # the worker was asked to stop
    LEASE_LOST = "lease_lost"  # another worker owns the run now


class FinishReason(StrEnum):
    """Why the model stopped, in OpenAI's words."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"


class Tokens(Value):
    """Token counts as the agent reported them; zeros when it reported none. A total it left out is the sum."""

    prompt_tokens: int = Field(0, ge=0)
    completion_tokens: int = Field(0, ge=0)
    total_tokens: int = Field(
        default_factory=lambda counts: counts.get("prompt_tokens", 0) + counts.get("completion_tokens", 0), ge=0
    )


# --- said -------------------------------------------------------------------------------------------------------------


class Queued(Value):
    stream: ClassVar[str] = "lifecycle"
    phase: Literal["queued"] = "queued"
    reason: StopReason | None = None  # set when a worker handed the run back


class Started(Value):
    stream: ClassVar[str] = "lifecycle"
    phase: Literal["start"] = "start"
    attempt: int
    worker: str


class Completed(Value):
    stream: ClassVar[str] = "lifecycle"
    phase: Literal["end"] = "end"
    finish_reason: FinishReason = FinishReason.STOP
    usage: Tokens = Tokens()


class Failed(Value):
    stream: ClassVar[str] = "lifecycle"
    phase: Literal["error"] = "error"
    code: str  # an ErrorCode, or one that a later release knows
    message: str
    usage: Tokens = Tokens()


class Cancelled(Value):
    stream: ClassVar[str] = "lifecycle"
    phase: Literal["cancelled"] = "cancelled"
    reason: StopReason
    usage: Tokens = Tokens()


class Delta(Value):
    """Append-only text of assistant message number `message` (from 0)."""

    stream: ClassVar[str] = "assistant"
    delta: str
    message: int = 0


class ToolUse(Value):
    stream: ClassVar[str] = "tool"
    phase: Literal["start", "update", "result"]
    name: str
    tool_call_id: str = ""
    args: JsonValue = None
    result: JsonValue = None


class ToolCallDelta(Value):
    """A piece of a call of one of the client's own tools, which the client is to make.

    `arguments` is append-only text. Calls are numbered from 0 in order; the first piece of each, and no other, has its
    id and name. `extra` is what the model's server wants back with the result; each part of it is told once.
    """

    stream: ClassVar[str] = "call"
    index: int = Field(ge=0)
    id: str = Field("", exclude_if=empty)
    name: str = Field("", exclude_if=empty)
    arguments: str = ""
    extra: JsonObject = Field({}, exclude_if=empty)


class Reasoning(Value):
    stream: ClassVar[str] = "reasoning"
    delta: str


class Usage(Tokens):
    stream: ClassVar[str] = "usage"


class Unknown(Value):
    """An event of a later release: it keeps its number, and readers pass over it."""

    model_config = ConfigDict(extra="allow")
    stream: ClassVar[str] = "unknown"


Terminal = Completed | Failed | Cancelled
Lifecycle = Queued | Started | Terminal
EventData = Lifecycle | Delta | ToolUse | ToolCallDelta | Reasoning | Usage | Unknown


# --- event ------------------------------------------------------------------------------------------------------------


class Envelope(Value):
    """Where a said thing stands. `seq` counts from 1 without holes; `ts` is ms since the epoch, of the writer's
    clock."""

    v: int = 1
    run_id: str
    seq: int = Field(ge=1)
    ts: int
    session_key: str
    attempt: int = Field(ge=0)


class LifecycleEvent(Envelope):
    stream: Literal["lifecycle"] = "lifecycle"
    data: Annotated[Lifecycle, Field(discriminator="phase")]


class AssistantEvent(Envelope):
    stream: Literal["assistant"] = "assistant"
    data: Delta


class ToolEvent(Envelope):
    stream: Literal["tool"] = "tool"
    data: ToolUse


class CallEvent(Envelope):
    stream: Literal["call"] = "call"
    data: ToolCallDelta


class ReasoningEvent(Envelope):
    stream: Literal["reasoning"] = "reasoning"
    data: Reasoning


class UsageEvent(Envelope):
    stream: Literal["usage"] = "usage"
    data: Usage


class UnknownEvent(Envelope):
    stream: str
    data: Unknown


_EVENTS: dict[str, type[Envelope]] = {
    "lifecycle": LifecycleEvent,
    "assistant": AssistantEvent,
    "tool": ToolEvent,
    "call": CallEvent,
    "reasoning": ReasoningEvent,
    "usage": UsageEvent,
}


_PHASES = frozenset({"queued", "start", "end", "error", "cancelled"})


def _kind(value: Any) -> str:
    if not isinstance(value, dict):  # an event already: pydantic asks when it serialises, too
        return _known(getattr(value, "stream", None))
    stream, data = value.get("stream"), value.get("data")
    if stream == "lifecycle" and isinstance(data, dict) and str(data.get("phase")) not in _PHASES:
        return "unknown"
    return _known(stream)


def _known(stream: object) -> str:
    return stream if isinstance(stream, str) and stream in _EVENTS else "unknown"


Event = Annotated[
    Annotated[LifecycleEvent, Tag("lifecycle")]
    | Annotated[AssistantEvent, Tag("assistant")]
    | Annotated[ToolEvent, Tag("tool")]
    | Annotated[CallEvent, Tag("call")]
    | Annotated[ReasoningEvent, Tag("reasoning")]
    | Annotated[UsageEvent, Tag("usage")]
    | Annotated[UnknownEvent, Tag("unknown")],
    Discriminator(_kind),
]
_ADAPTER: TypeAdapter[Event] = TypeAdapter(Event)


def make_event(said: EventData, *, run_id: str, session_key: str, attempt: int, seq: int, ts: int) -> Event:
    """Gives a said thing its place in the log."""
    place = {"run_id": run_id, "session_key": session_key, "attempt": attempt, "seq": seq, "ts": ts}
    return _ADAPTER.validate_python({"stream": said.stream, "data": said, **place})


def to_json(event: Event) -> bytes:
    return event.model_dump_json(by_alias=True, exclude_none=True).encode()


def from_json(raw: bytes | str) -> Event:
    """The event of its JSON. Raises pydantic's ValidationError, a ValueError, for what no release wrote."""
    return _ADAPTER.validate_json(raw)
