"""The seam between the worker and every kind of agent."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol

from pydantic import Field

from shared.run.events import Delta, FinishReason, Reasoning, Tokens, ToolCallDelta, ToolUse, Usage, Value, empty
from shared.run.json_object import JsonObject
from shared.run.run import Turn


class Finished(Value):
    """Why the model stopped. It is no event: the last one that an agent says stands in the run's end."""

    reason: FinishReason


AgentEvent = Delta | ToolUse | ToolCallDelta | Reasoning | Usage | Finished


class AgentConversation(Value):
    """The agent keeps the conversation in which it answers, and finds it again by `id` as long as `place` is the same.

    For the worker, not for readers. The last one that an agent says counts.
    """

    id: str
    place: str = ""
    spent: Tokens = Tokens()  # the tokens in it so far, of an agent whose `Usage` counts from its beginning


AgentOutput = AgentEvent | AgentConversation


class EarlierConversation(Value):
    """The agent's own conversation, which holds all of the history and, if it was told, this run's system prompt."""

    id: str
    place: str
    spent: Tokens = Tokens()
    system_told: bool


class AgentInput(Value):
    """What an agent is given. Its JSON, with camelCase names, is what `input = "json"` writes to a command's stdin.

    `history` holds the earlier turns, oldest first, without the current one; `message` is the current turn as text.
    Pictures and the results of tools are in `current`: the whole current turn, empty where text says all of it. `tools`
    are the client's own; an agent asks the client to call one with a `ToolCallDelta`. `params` are those fields of the
    request that are for a model. An agent that reads only `message` and `history` still gets all there is in words. One
    that cannot go on in its `earlier` conversation has the history.
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
    traceparent: str = Field("", exclude_if=empty)  # the agent's place in a trace, for what it calls; W3C's form
    named_session: bool = Field(False, exclude=True)  # a next turn may come
    earlier: EarlierConversation | None = Field(None, exclude=True)

    @property
    def conversation(self) -> tuple[Turn, ...]:
        """All turns, the current one last."""
        return (*self.history, *(self.current or (Turn(role="user", content=self.message),)))


class Agent(Protocol):
    """One configured agent; many runs at once."""

    def run(self, input: AgentInput) -> AsyncGenerator[AgentOutput, None]:
        """Speaks until it is done. A `Delta` of message n+1 begins a new assistant message.

        Ends by returning, or by `RunError`; any other exception is a bug of the agent and fails the run as
        `agent_failed`. When the caller closes the generator or is cancelled, whatever the agent started is gone
        before the close returns.
        """
        ...
