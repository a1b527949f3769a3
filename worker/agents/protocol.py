"""The seam between the worker and every kind of agent."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol

from shared.events import Call, Delta, FinishReason, Reasoning, Tool, Usage, Value
from shared.run import Turn


class Finished(Value):
    """Why the model stopped. It is no event: the last one that an agent says stands in the run's end."""

    reason: FinishReason


Spoken = Delta | Tool | Call | Reasoning | Usage | Finished


class AgentInput(Value):
    """What an agent is given. Its JSON, with camelCase names, is what `input = "json"` writes to a command's stdin.

    `history` holds the earlier turns, oldest first, without the current one; `message` is the current turn.
    """

    message: str
    extra_system_prompt: str = ""
    history: tuple[Turn, ...] = ()
    run_id: str
    session_key: str
    agent_id: str


class Agent(Protocol):
    """One configured agent; many runs at once."""

    def run(self, input: AgentInput) -> AsyncGenerator[Spoken, None]:
        """Speaks until it is done. A `Delta` of message n+1 begins a new assistant message.

        Ends by returning, or by `RunError`; any other exception is a bug of the agent and fails the run as
        `agent_failed`. When the caller closes the generator or is cancelled, whatever the agent started is gone
        before the close returns.
        """
        ...
