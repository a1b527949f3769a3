"""Objects of agent frameworks, as functions that an agent of kind `python` can call.

They are known by the classes they descend from, so no framework is imported to find out that an object is none of it.
"""

from __future__ import annotations

from collections.abc import Callable

from worker.agents.protocol import AgentInput

_CLASSES = {"pydantic_ai.agent.abstract:AbstractAgent", "agents.agent:Agent", "langgraph.pregel.main:Pregel"}
_EXTRAS = {"pydantic_ai": "pydantic-ai", "agents": "openai-agents", "langgraph": "langgraph"}


def adapted(found: object) -> Callable[[AgentInput], object] | None:
    """None for an object of no known framework. Raises SettingsError for one that cannot answer a message."""
    # An adapter is imported here, as it imports its framework, which is there: the object comes from it.
    match _framework(type(found)):
        case "pydantic_ai":
            from worker.agents.python.frameworks.pydantic_ai import pydantic_ai_adapter as pydantic_ai

            return pydantic_ai(found)
        case "agents":
            from worker.agents.python.frameworks.openai_agents import openai_agents_adapter as openai_agents

            return openai_agents(found)
        case "langgraph":
            from worker.agents.python.frameworks.langgraph import langgraph_adapter as langgraph

            return langgraph(found)
        case _:
            return None


def missing(error: Exception) -> str:
    """What to do about an import that failed for want of a framework; nothing for another failure."""
    module = error.name or "" if isinstance(error, ImportError) else ""
    extra = _EXTRAS.get(module.partition(".")[0])
    return f"; install the extra {extra}: pip install '.[{extra}]'" if extra else ""


def _framework(kind: type) -> str:
    names = (f"{base.__module__}:{base.__name__}" for base in kind.__mro__)
    return next((name.partition(".")[0] for name in names if name in _CLASSES), "")
