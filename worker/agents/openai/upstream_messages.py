"""Turns a conversation into the messages of a chat completion request. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import cast

from openai.types.chat import ChatCompletionMessageParam
from pydantic import JsonValue

from shared.run.json_object import JsonObject
from shared.run.run import Part, ToolCall, Turn
from worker.agents.protocol import AgentInput


def messages(input: AgentInput) -> list[ChatCompletionMessageParam]:
    system: JsonObject = {"role": "system", "content": input.extra_system_prompt}
    sent = [system] if input.extra_system_prompt else []
    sent += map(_message, paired(input.conversation))
    # Parts and calls come from a client unchecked: the server reports their errors.
    return cast(list[ChatCompletionMessageParam], sent)


def paired(turns: Iterable[Turn]) -> Iterator[Turn]:
    """The turns with each result right behind its call, and no call without a result: servers refuse other orders.

    A conversation may have another order: a user wrote before the result came, or changed the subject and never sent a
    result, or a transcript has lost its beginning. A result without its call stays, as text.
    """
    answer: list[Turn] = []  # an assistant's turns, and all turns up to the next assistant's turn
    for turn in turns:
        if turn.role == "assistant" and answer and answer[-1].role != "assistant":
            yield from _paired(answer)
            answer = []
        answer.append(turn)
    yield from _paired(answer)


def _paired(answer: Sequence[Turn]) -> Iterator[Turn]:
    results = {turn.tool_call_id: turn for turn in answer if turn.tool_call_id}
    calls = {call.id for turn in answer for call in turn.tool_calls}
    for turn in answer:
        if turn.tool_calls:
            answered = tuple(call for call in turn.tool_calls if call.id in results)
            if answered or turn.content:
                yield turn.model_copy(update={"tool_calls": answered})
            yield from (results[call.id] for call in answered)
        elif turn.tool_call_id not in calls:
            yield turn.model_copy(update={"tool_call_id": ""})


def _message(turn: Turn) -> JsonObject:
    match turn:
        case Turn(role="assistant", tool_calls=()):
            return {"role": "assistant", "content": turn.content}
        case Turn(role="assistant"):
            return {"role": "assistant", "content": turn.content or None, "tool_calls": [*map(_call, turn.tool_calls)]}
        case Turn(role="user"):
            parts: JsonValue = [*map(_part, turn.parts)]
            return {"role": "user", "content": parts or turn.content}
        case Turn(role="tool", tool_call_id=""):
            return {"role": "user", "content": f"Tool result:\n{turn.content}"}
        case _:
            return {"role": "tool", "tool_call_id": turn.tool_call_id, "content": turn.content}


def _part(part: Part) -> JsonObject:
    return {"type": part.type, part.type: part.value}


def _call(call: ToolCall) -> JsonObject:
    function: JsonObject = {"name": call.name, "arguments": call.arguments}
    return {**call.extra, "id": call.id, "type": "function", "function": function}
