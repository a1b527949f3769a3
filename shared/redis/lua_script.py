"""Lua scripts as values, and facts of Python as Lua: one act each, all or nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping


class LuaScript:
    """A Lua script and its digest."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def lua_table(fields: Mapping[str, str]) -> str:
    """A table whose values are Lua already."""
    return "{" + ", ".join(f"[{lua_string(name)}] = {value}" for name, value in sorted(fields.items())) + "}"


def lua_string(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
