"""The interface between the worker and every kind of agent."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol

from pydantic import Field

from shared.run.events import (
    Delta,
    FinishReason,
    Reasoning,
    Retraction,
    Tokens,
    ToolCallDelta,
    ToolUse,
    Usage,
    Value,
    empty,
)
from shared.run.json_object import JsonObject
from shared.run.run import Turn


class Finished(Value):
    """Why the model stopped. It is no event of the log: the run's last event has the agent's last reason."""

    reason: FinishReason


AgentEvent = Delta | Retraction | ToolUse | ToolCallDelta | Reasoning | Usage | Finished


class AgentConversation(Value):
    """Names the agent's own conversation. The agent finds it again by `id` as long as `place` is the same.

    The worker uses it, and readers do not get it. The last one that an agent emits counts.
    """

    id: str
    place: str = ""
    complete: bool = True  # it is sure to hold the run's turn; otherwise no later run continues it
    spent: Tokens = Tokens()  # its tokens so far, for an agent whose `Usage` counts from the conversation's beginning


AgentOutput = AgentEvent | AgentConversation


class EarlierConversation(Value):
    """The agent's own conversation. It holds the whole history and, if `has_system_prompt`, the run's system prompt."""

    id: str
    place: str
    spent: Tokens = Tokens()
    has_system_prompt: bool


class AgentInput(Value):
    """The input of an agent. Its JSON, with camelCase names, is what `input = "json"` writes to a command's stdin.

    `history` holds the earlier turns, oldest first, without the current one. `message` is the current turn as text.
    `current` is the whole current turn, with pictures and the results of tools; it is empty when `message` holds all of
    it. `tools` are the client's own; an agent requests a call of one with a `ToolCallDelta`. `params` are the fields of
    the request that are for a model. An agent that reads only `message` and `history` still gets all the text. An agent
    that cannot continue its `earlier` conversation uses the history.
    """

    message: str
    extra_system_prompt: str = ""
    history: tuple[Turn, ...] = ()
    current: tuple[Turn, ...] = Field((), exclude_if=empty)
    tools: tuple[JsonObject, ...] = Field((), exclude_if=empty)
    params: JsonObject = Field({}, exclude_if=empty)
    run_id: str
    session_key: str
    agent_id: str
    traceparent: str = Field("", exclude_if=empty)  # the agent's span, in W3C's form, for the services that it calls
    named_session: bool = Field(False, exclude=True)  # the session may have a next turn
    earlier: EarlierConversation | None = Field(None, exclude=True)

    @property
    def conversation(self) -> tuple[Turn, ...]:
        """All turns, the current one last."""
        return (*self.history, *(self.current or (Turn(role="user", content=self.message),)))


class Agent(Protocol):
    """One configured agent; many runs at once."""

    def run(self, input: AgentInput) -> AsyncGenerator[AgentOutput, None]:
        """Yields output until the answer is complete. A `Delta` of message n+1 begins a new assistant message.

        The generator returns at the end, or raises RunError. Any other exception is a bug of the agent and fails the
        run as `agent_failed`. When the caller closes the generator or is cancelled, every process and task that the
        agent started has ended before the close returns.
        """
        ...
