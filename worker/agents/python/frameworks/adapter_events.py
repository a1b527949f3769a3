"""The events of adapters: values as a Python agent may yield them (`worker/agents/jsonl.py`)."""

from __future__ import annotations

from typing import Literal

from pydantic import JsonValue
from pydantic_core import from_json, to_json

from shared.run.errors import ErrorCode, RunError
from shared.run.events import Usage

AdapterEvent = str | Usage | dict[str, JsonValue]

NEW_MESSAGE: AdapterEvent = {"message": True}  # leaves no trace when no text follows


def reasoning(text: str) -> AdapterEvent:
    return {"stream": "reasoning", "data": {"delta": text}}


def tool(phase: Literal["start", "result"], name: object, call_id: object, **what: object) -> AdapterEvent:
    """`what` is the call's `args` or `result`."""
    plain = {key: _plain(value) for key, value in what.items()}
    return {"stream": "tool", "data": {"phase": phase, "name": str(name), "toolCallId": str(call_id or ""), **plain}}


def arguments(written: object) -> object:
    """The arguments of a tool call, parsed. A model writes them as JSON; text that is not JSON stays as it is."""
    try:
        return from_json(written) if isinstance(written, str) else written
    except ValueError:
        return written


def tokens(prompt: int, completion: int) -> AdapterEvent:
    return Usage(prompt_tokens=prompt, completion_tokens=completion)


def as_text(output: object) -> str:
    """An agent's output: text as it is, and anything else as JSON."""
    return output if isinstance(output, str) else _json(output).decode()


def pending_request(framework: str) -> RunError:
    """The error of an agent that has stopped to wait for a user's approval or answer."""
    return RunError(
        ErrorCode.AGENT_FAILED,
        "The agent waits for an approval or an answer, which nobody can give here.",
        f"{framework}: the run ended with a request that is pending",
    )


def _plain(value: object) -> JsonValue:
    plain: JsonValue = from_json(_json(value))
    return plain


def _json(value: object) -> bytes:
    return to_json(value, fallback=str, inf_nan_mode="null", bytes_mode="base64")
