"""The events of a run: frozen values, one class per kind, and their JSON.

An agent or the worker emits an `EventData`. An `Event` is an `EventData` with its place in the run's log. Worker and
API exchange the JSON of events, and the run's stream holds it. A reader ignores fields that its release does not know,
and parses an unknown `stream`, or an unknown `phase` of the lifecycle, as `Unknown`: a newer worker may write for an
older API.

Rule 1: only this file defines kinds of event. A new lifecycle event is a class, its place in `Waypoint` or
`Terminal`, and its name in `Phase`; a new stream is a class and an envelope, and their places in `Ongoing` and
`KnownEvent`. All sets of names follow from these unions, and mypy finds each reader that misses a kind.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal, Union, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, JsonValue, Tag, TypeAdapter
from pydantic.alias_generators import to_camel

from shared.run.json_object import JsonObject


class Value(BaseModel):
    """A frozen value whose JSON has camelCase names."""

    # Input that fails to parse is a prompt or an answer, and a process may log the text of the error.
    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True, hide_input_in_errors=True)


def empty(value: object) -> bool:
    """For `Field(exclude_if=empty)`: leaves a rarely used field out of the JSON of all values that do not set it."""
    return not value


class StopReason(StrEnum):
    """Why a run was stopped from outside. The worker records the reason before it kills any process."""

    USER = "user"  # a client or an operator requested it
    TIMEOUT = "timeout"  # the reader's own time is up
    DISCONNECT = "disconnect"  # the last reader of a foreground run has left
    DRAIN = "drain"  # the worker is stopping
    LEASE_LOST = "lease_lost"  # another worker owns the run now


class FinishReason(StrEnum):
    """Why the model stopped. The names are OpenAI's."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"


MOST_TOKENS = 2**53 - 1  # the largest whole number that every reader of JSON takes

Count = Annotated[int, Field(ge=0), AfterValidator(lambda count: min(count, MOST_TOKENS))]


class Tokens(Value):
    """Token counts as the agent reported them, at most MOST_TOKENS; zeros when it reported none. Without a reported
    total it is the sum."""

    prompt_tokens: Count = 0
    completion_tokens: Count = 0
    total_tokens: Count = Field(
        default_factory=lambda counts: min(
            MOST_TOKENS, counts.get("prompt_tokens", 0) + counts.get("completion_tokens", 0)
        )
    )


# --- data -------------------------------------------------------------------------------------------------------------


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
    retry_at: int | None = None  # s since the epoch, when it is known when another try may succeed
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


class Retraction(Value):
    """The text of assistant message `message` is no part of the answer: the agent broke it off and begins again. A
    reader that has shown it to a client of a chat stream cannot take it back."""

    stream: ClassVar[str] = "retraction"
    message: int


class ToolUse(Value):
    stream: ClassVar[str] = "tool"
    phase: Literal["start", "update", "result"]
    name: str
    tool_call_id: str = ""
    args: JsonValue = None
    result: JsonValue = None


class ToolCallDelta(Value):
    """A piece of a call that the client is to make, of one of its own tools.

    `arguments` is append-only text. `index` numbers the calls from 0 in order. Only the first piece of a call has its
    id and name. The model's server requires `extra` back with the result; each part of it comes in one piece only.
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


class Omitted(Value):
    """So many events of tools, reasoning and usage are not in the log: the agent's activity exceeded its budget. Text
    and calls of the client's tools are never left out."""

    stream: ClassVar[str] = "omitted"
    events: int
    chars: int  # of their JSON


class Unknown(Value):
    """An event of a later release. It keeps its number, and readers skip it."""

    model_config = ConfigDict(extra="allow")
    stream: ClassVar[str] = "unknown"


Waypoint = Queued | Started
Terminal = Completed | Failed | Cancelled
Lifecycle = Waypoint | Terminal
Ongoing = (
    Waypoint | Delta | Retraction | ToolUse | ToolCallDelta | Reasoning | Usage | Omitted | Unknown
)  # the run goes on after each
EventData = Ongoing | Terminal

# A type cannot be derived from the classes. mypy refuses api/admin/timeline.py when a phase is missing here.
Phase = Literal["queued", "start", "end", "error", "cancelled"]


def _phases(kinds: object) -> frozenset[str]:
    return frozenset(kind.model_fields["phase"].default for kind in get_args(kinds))


PHASES = _phases(Lifecycle)
TERMINAL_PHASES = _phases(Terminal)


# --- event ------------------------------------------------------------------------------------------------------------


class Envelope(Value):
    """The place of an event in its run's log. `seq` counts from 1 without holes; `ts` is ms since the epoch, by the
    writer's clock."""

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


class RetractionEvent(Envelope):
    stream: Literal["retraction"] = "retraction"
    data: Retraction


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


class OmittedEvent(Envelope):
    stream: Literal["omitted"] = "omitted"
    data: Omitted


class UnknownEvent(Envelope):
    stream: str
    data: Unknown


KnownEvent = (
    LifecycleEvent
    | AssistantEvent
    | RetractionEvent
    | ToolEvent
    | CallEvent
    | ReasoningEvent
    | UsageEvent
    | OmittedEvent
)
Event = KnownEvent | UnknownEvent

_UNKNOWN = Unknown.stream
_ENVELOPES = {kind.model_fields["stream"].default: kind for kind in get_args(KnownEvent)}


def is_terminal(event: Event) -> bool:
    """Whether the event ends its run. Only the last lifecycle event of a run does."""
    return type(event.data) in _TERMINAL  # not isinstance: readers call this for each event, and no kind has subclasses


_TERMINAL = frozenset(get_args(Terminal))


def assert_ongoing(_data: Ongoing) -> None:
    """For the last case of a `match` that handles some kinds only. Its type makes mypy refuse a `match` that misses a
    terminal event, as `assert_never` does for every kind."""


def _tag(value: Any) -> str:
    if not isinstance(value, dict):  # an event: pydantic also calls this when it serialises
        return _known(getattr(value, "stream", None))
    stream, data = value.get("stream"), value.get("data")
    if stream == "lifecycle" and isinstance(data, dict) and str(data.get("phase")) not in PHASES:
        return _UNKNOWN
    return _known(stream)


def _known(stream: object) -> str:
    return stream if isinstance(stream, str) and stream in _ENVELOPES else _UNKNOWN


_TAGGED = tuple(Annotated[kind, Tag(tag)] for tag, kind in {**_ENVELOPES, _UNKNOWN: UnknownEvent}.items())
_EVENT: Any = Annotated[Union[_TAGGED], Discriminator(_tag)]  # noqa: UP007  # `Event`, as pydantic reads it
_ADAPTER: TypeAdapter[Event] = TypeAdapter(_EVENT)


def make_event(data: EventData, *, run_id: str, session_key: str, attempt: int, seq: int, ts: int) -> Event:
    """Makes an event from `data` and its place in the log."""
    place = {"run_id": run_id, "session_key": session_key, "attempt": attempt, "seq": seq, "ts": ts}
    return _ADAPTER.validate_python({"stream": data.stream, "data": data, **place})


def to_json(event: Event) -> bytes:
    return event.model_dump_json(by_alias=True, exclude_none=True).encode()


def from_json(raw: bytes | str) -> Event:
    """Parses the JSON of an event. Raises pydantic's ValidationError, a ValueError, for JSON that no release wrote."""
    return _ADAPTER.validate_json(raw)
