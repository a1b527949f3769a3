"""An agent of each framework, with the framework's model for tests. Each calls a tool, and answers with its result."""

from __future__ import annotations

from collections.abc import AsyncIterator

from agents import Agent as OpenAIAgent
from agents import Usage, function_tool, set_tracing_disabled
from agents.testing import ScriptedModel, assistant_message, function_call
from langchain_core.messages import AIMessage, AnyMessage, ToolCall
from langchain_core.messages.ai import UsageMetadata
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from pydantic_ai import Agent as PydanticAgent
from pydantic_ai.messages import ModelMessage, ModelRequest, UserPromptPart
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, FunctionModel

RUNS = 10  # as many as the scripted model has steps for


def roll(sides: int) -> str:
    """Rolls a die."""
    return f"{sides - 2} of {sides}"


# --- pydantic_ai ------------------------------------------------------------------------------------------------------


async def think(messages: list[ModelMessage], _: AgentInfo) -> AsyncIterator[str | dict[int, DeltaToolCall]]:
    last = messages[-1]
    if isinstance(last, ModelRequest) and isinstance(last.parts[-1], UserPromptPart):
        yield {0: DeltaToolCall(name="roll", json_args='{"sides": 6}', tool_call_id="1")}
    else:
        yield "It is "
        yield "4 of 6."


pydantic_agent = PydanticAgent(FunctionModel(stream_function=think), tools=[roll])


# --- OpenAI Agents SDK ------------------------------------------------------------------------------------------------

set_tracing_disabled(True)
turns = [[function_call("roll", {"sides": 6}, call_id="1")], [assistant_message("It is 4 of 6.")]]
scripted = ScriptedModel(turns * RUNS, default_usage=Usage(requests=1, input_tokens=5, output_tokens=3, total_tokens=8))
openai_agent = OpenAIAgent("dice", model=scripted, tools=[function_tool(roll)])


# --- LangGraph --------------------------------------------------------------------------------------------------------


def ask(state: MessagesState) -> dict[str, list[AnyMessage]]:
    usage = UsageMetadata(input_tokens=5, output_tokens=3, total_tokens=8)
    if state["messages"][-1].type == "tool":
        return {"messages": [AIMessage("It is 4 of 6.", usage_metadata=usage)]}
    call = ToolCall(name="roll", args={"sides": 6}, id="1")
    return {"messages": [AIMessage("", tool_calls=[call], usage_metadata=usage)]}


building = StateGraph(MessagesState)
building.add_node("ask", ask)
building.add_node("tools", ToolNode([tool(roll)]))
building.add_edge(START, "ask")
building.add_conditional_edges("ask", tools_condition)
building.add_edge("tools", "ask")
graph = building.compile()
