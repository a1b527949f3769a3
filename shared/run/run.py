"""A run: what was asked (`Run`, immutable), and how it ended (`End`)."""

from __future__ import annotations

from typing import Literal
from uuid import uuid4

from pydantic import Field, JsonValue

from shared.run.conversation import Resumed, StoredConversation
from shared.run.events import StopReason, Tokens, Value, empty
from shared.run.json_object import JsonObject
from shared.run.states import State

CONTRACT = 1  # version of what API and worker write for each other; part of the queue's name and of every record

Lost = Literal["retry_if_silent", "fail", "retry"]


class ToolCall(Value):
    """A call of one of the client's own tools. `arguments` is text as the model wrote it, JSON if all went well."""

    id: str
    name: str
    arguments: str
    extra: JsonObject = Field({}, exclude_if=empty)  # what the model's server wants back with the result


class Part(Value):
    """A part of what a user said. `value` is what OpenAI's form has under the name of the type: text, or an object."""

    type: Literal["text", "image_url", "input_audio", "file"]
    value: JsonValue


class Turn(Value):
    """One turn of a conversation. `content` is its text; what else there may be is said by the other fields."""

    role: Literal["user", "assistant", "tool"]
    content: str
    parts: tuple[Part, ...] = Field((), exclude_if=empty)  # of a user who said more than text: all of it, in order
    tool_calls: tuple[ToolCall, ...] = Field((), exclude_if=empty)  # of an assistant that asked the client for them
    tool_call_id: str = Field("", exclude_if=empty)  # of a tool's result: the call that it answers

    @property
    def in_words(self) -> str:
        """For whoever reads nothing but text. Never empty for an assistant's turn that only calls tools."""
        calls = (f"(calls {call.name} with {call.arguments})" for call in self.tool_calls)
        return "\n".join(filter(None, (self.content, *calls)))


class Run(Value):
    """What a client asked for. Nothing in it changes after `submit`."""

    v: int = CONTRACT
    run_id: str
    agent_id: str
    session_key: str
    owner: str  # name of the credential that made it
    model: str  # echoed to the client
    message: str
    extra_system_prompt: str = ""
    history: tuple[Turn, ...] = ()  # what the request carried; a kept transcript takes its place
    current: tuple[Turn, ...] = Field((), exclude_if=empty)  # the current turn, where `message` does not say all of it
    tools: tuple[JsonObject, ...] = Field((), exclude_if=empty)  # of the client, as it wrote them
    params: JsonObject = Field(
        {}, exclude_if=empty
    )  # what else the request says to a model (`shared/run/model_params.py`)
    keeps_transcript: bool = False  # the client named its session, so the worker remembers it
    traceparent: str = Field(
        "", exclude_if=empty
    )  # its place in a trace, as W3C writes it (`shared/observe/tracing.py`)
    created_ms: int  # ms since the epoch, clock of the API; `created` of every answer about this run
    foreground: bool = True  # it ends when its last reader has left for good
    again_of: str = Field("", exclude_if=empty)  # the run that an operator had run again as this one


def new_run_id() -> str:
    return f"chatcmpl_{uuid4()}"


class Policy(Value):
    """What an agent allows when its worker is lost. Workers announce it, and note it in each run they claim."""

    on_worker_lost: Lost = "retry_if_silent"
    max_attempts: int = Field(3, ge=1)
    on_disconnect: Literal["cancel", "continue"] = "cancel"


class End(Value):
    """How a run ended: its one terminal record, written with its last event. `text` is the whole flat answer."""

    state: Literal[State.COMPLETED, State.FAILED, State.CANCELLED]
    text: str = ""
    tool_calls: tuple[ToolCall, ...] = Field((), exclude_if=empty)  # of a completed run: what its client is to call
    finish_reason: str = ""  # of a completed run
    code: str = ""  # of a failed run
    message: str = ""  # of a failed run, for clients
    detail: str = ""  # of a failed run, for operators only
    reason: StopReason | None = None  # of a cancelled run
    usage: Tokens = Tokens()
    resumed: Resumed | None = None  # of a run whose session is kept, and that an agent was given
    conversation: StoredConversation | None = None  # the agent's own, as the run leaves it
