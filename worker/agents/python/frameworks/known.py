"""Turns objects of agent frameworks into functions that an agent of kind `python` can call.

It recognizes an object by the names of its base classes, so it need not import a framework to reject an object.
"""

from __future__ import annotations

from collections.abc import Callable

from worker.agents.protocol import AgentInput

_CLASSES = {"pydantic_ai.agent.abstract:AbstractAgent", "agents.agent:Agent", "langgraph.pregel.main:Pregel"}
_EXTRAS = {"pydantic_ai": "pydantic-ai", "agents": "openai-agents", "langgraph": "langgraph"}


def adapted(found: object) -> Callable[[AgentInput], object] | None:
    """The function for an object; None if the object is of no known framework. Raises SettingsError when the object
    cannot answer a message."""
    # Each adapter imports its framework, so it is imported only here: an object's own framework is installed.
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
    """A hint to install the framework whose import failed; empty for another failure."""
    module = error.name or "" if isinstance(error, ImportError) else ""
    extra = _EXTRAS.get(module.partition(".")[0])
    return f"; install the extra {extra}: pip install '.[{extra}]'" if extra else ""


def _framework(kind: type) -> str:
    names = (f"{base.__module__}:{base.__name__}" for base in kind.__mro__)
    return next((name.partition(".")[0] for name in names if name in _CLASSES), "")
