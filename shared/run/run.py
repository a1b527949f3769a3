"""A run: the request (`Run`, immutable), and how it ended (`End`)."""

from __future__ import annotations

from typing import Literal
from uuid import uuid4

from pydantic import Field, JsonValue

from shared.run.conversation import Resumed, StoredConversation
from shared.run.events import StopReason, Tokens, Value, empty
from shared.run.json_object import JsonObject
from shared.run.states import State

CONTRACT = 1  # version of the data that API and worker write for each other; in the queue's name and every record

Lost = Literal["retry_if_silent", "fail", "retry"]


class ToolCall(Value):
    """A call of one of the client's own tools. `arguments` is the model's text, which should be JSON."""

    id: str
    name: str
    arguments: str
    extra: JsonObject = Field({}, exclude_if=empty)  # fields that the model's server wants back with the result


class Part(Value):
    """A part of a user's turn. `value` is the field that OpenAI names after the type: a text, or an object."""

    type: Literal["text", "image_url", "input_audio", "file"]
    value: JsonValue


class Turn(Value):
    """One turn of a conversation. `content` is its text; the other fields hold everything else."""

    role: Literal["user", "assistant", "tool"]
    content: str
    parts: tuple[Part, ...] = Field((), exclude_if=empty)  # of a user's turn with more than text: all parts, in order
    tool_calls: tuple[ToolCall, ...] = Field((), exclude_if=empty)  # of an assistant's turn: calls for the client
    tool_call_id: str = Field("", exclude_if=empty)  # of a tool's result: the call that it answers

    @property
    def in_words(self) -> str:
        """The turn as text, for an agent that reads nothing but text. An assistant's turn that only calls tools is not
        empty."""
        calls = (f"(calls {call.name} with {call.arguments})" for call in self.tool_calls)
        return "\n".join(filter(None, (self.content, *calls)))


class Run(Value):
    """A client's request. Nothing in it changes after `submit`."""

    v: int = CONTRACT
    run_id: str
    agent_id: str
    session_key: str
    owner: str  # name of the client's credential
    model: str  # the API echoes it to the client
    message: str
    extra_system_prompt: str = ""
    history: tuple[Turn, ...] = ()  # earlier turns in the request; a kept transcript replaces them
    current: tuple[Turn, ...] = Field((), exclude_if=empty)  # the current turn, where `message` cannot hold all of it
    tools: tuple[JsonObject, ...] = Field((), exclude_if=empty)  # the client's tools, as it wrote them
    params: JsonObject = Field(
        {}, exclude_if=empty
    )  # the request's other fields for the model (`shared/run/model_params.py`)
    keeps_transcript: bool = False  # the client named its session, so the worker remembers it
    traceparent: str = Field(
        "", exclude_if=empty
    )  # its place in a trace, as W3C writes it (`shared/observe/tracing.py`)
    created_ms: int  # ms since the epoch, clock of the API; `created` of every answer about this run
    foreground: bool = True  # the run ends when its last reader has left for good
    again_of: str = Field("", exclude_if=empty)  # the earlier run that this one repeats by an operator's request


def new_run_id() -> str:
    return f"chatcmpl_{uuid4()}"


class Policy(Value):
    """What the service may do with a run when its worker is lost or its readers leave. Workers announce the policy of
    each agent, and note it in each run they claim."""

    on_worker_lost: Lost = "retry_if_silent"
    max_attempts: int = Field(3, ge=1)
    on_disconnect: Literal["cancel", "continue"] = "cancel"


class End(Value):
    """How a run ended: its one terminal record, written with its last event. `text` is the whole flat answer."""

    state: Literal[State.COMPLETED, State.FAILED, State.CANCELLED]
    text: str = ""
    tool_calls: tuple[ToolCall, ...] = Field((), exclude_if=empty)  # of a completed run: calls for the client to make
    finish_reason: str = ""  # of a completed run
    code: str = ""  # of a failed run
    message: str = ""  # of a failed run, for clients
    detail: str = ""  # of a failed run, for operators only
    reason: StopReason | None = None  # of a cancelled run
    usage: Tokens = Tokens()
    resumed: Resumed | None = None  # only of a run that started an agent and keeps its transcript
    conversation: StoredConversation | None = None  # the agent's own conversation, as the run leaves it
