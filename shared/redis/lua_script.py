"""Lua scripts as values, and Python's constants as Lua text. Redis runs a script whole, all or nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping


class LuaScript:
    """A Lua script and its digest."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def lua_table(fields: Mapping[str, str]) -> str:
    """A Lua table. The values of `fields` are Lua expressions already; its names are plain text."""
    return "{" + ", ".join(f"[{lua_string(name)}] = {value}" for name, value in sorted(fields.items())) + "}"


def lua_string(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
