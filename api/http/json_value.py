"""JSON values: their type, whether JavaScript takes them for true, and how the API writes them."""

from __future__ import annotations

import json

from pydantic import JsonValue

from shared.run.json_object import JsonObject as JsonObject

_ENCODER = json.JSONEncoder(separators=(",", ":"))  # once: `json.dumps` makes one per call


def truthy(value: JsonValue) -> bool:
    """Whether JavaScript takes the value for true. Clients were written for a server where `[]`, `{}` and `"false"`
    are true."""
    return bool(value) or isinstance(value, list | dict)


def compact(value: JsonValue) -> bytes:
    """The value as one line of ASCII: some clients split streams at U+2028, and some decode them packet by packet."""
    return _ENCODER.encode(value).encode()
