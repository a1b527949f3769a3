"""The event log's Lua scripts, by name. A script is `scripts/log.lua`, which all share, and the file of its name."""

from __future__ import annotations

from importlib.resources import files

from shared.redis.lua_script import LuaScript

_SCRIPTS = files("shared.log") / "scripts"


def log_script(script: str) -> LuaScript:
    return LuaScript("\n".join((_SCRIPTS / f"{name}.lua").read_text() for name in ("log", script)))
