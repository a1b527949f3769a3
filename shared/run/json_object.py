"""JSON that a client or a model's server has written for the other of the two: it is passed on as it is."""

from __future__ import annotations

from pydantic import JsonValue

JsonObject = dict[str, JsonValue]

LEVELS = 64  # no reader of ours goes deeper than 200, and what is passed on stands inside of something else


def too_deep(value: JsonValue, levels: int = LEVELS) -> bool:
    """Whether lists and objects stand in each other more than `levels` deep."""
    if not isinstance(value, list | dict):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(too_deep(one, levels - 1) for one in inner)
