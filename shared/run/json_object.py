"""JSON that a client and a model's server write for each other. The service passes it on unchanged."""

from __future__ import annotations

from pydantic import JsonValue

JsonObject = dict[str, JsonValue]

LEVELS = 64  # our JSON parsers read no deeper than 200 levels, and this JSON is nested inside other JSON


def too_deep(value: JsonValue, levels: int = LEVELS) -> bool:
    """Whether lists and objects are nested more than `levels` deep."""
    if not isinstance(value, list | dict):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(too_deep(one, levels - 1) for one in inner)
