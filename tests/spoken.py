"""The events that agents may emit, for property tests."""

from __future__ import annotations

from hypothesis import strategies as st

from shared.run.events import Delta, Reasoning, ToolCallDelta, ToolUse, Usage
from worker.agents.protocol import AgentEvent

texts = st.text(st.characters(codec="utf-8"), max_size=12)


def _deltas(numbers: st.SearchStrategy[int]) -> st.SearchStrategy[AgentEvent]:
    return st.builds(Delta, delta=texts, message=numbers)


def spoken(messages: int = 3, calls: int = 0) -> st.SearchStrategy[list[AgentEvent]]:
    """Any events of an agent, with its messages and calls in order."""
    other = st.one_of(
        st.builds(Reasoning, delta=texts),
        st.builds(ToolUse, phase=st.sampled_from(["start", "update", "result"]), name=texts, args=st.none() | texts),
        st.builds(Usage, prompt_tokens=st.integers(0, 9), total_tokens=st.integers(0, 9)),
    )
    one: st.SearchStrategy[AgentEvent] = st.one_of(_deltas(st.integers(0, messages - 1)), other)
    if calls:
        one |= st.builds(ToolCallDelta, index=st.integers(0, calls - 1), arguments=texts)
    return st.lists(one, max_size=30).map(_in_order)


def _in_order(events: list[AgentEvent]) -> list[AgentEvent]:
    """The events with numbers that never go back to an earlier message, and with an id and a name in the first piece of
    each call."""
    message, calls, ordered = 0, 0, list[AgentEvent]()
    for one in events:
        if isinstance(one, Delta):
            message = max(message, one.message)
            one = Delta(delta=one.delta, message=message)
        elif isinstance(one, ToolCallDelta) and one.index >= calls:
            one = ToolCallDelta(index=calls, id=f"c{calls}", name="f", arguments=one.arguments)
            calls += 1
        ordered.append(one)
    return ordered
