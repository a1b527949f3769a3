"""The ledger's Lua scripts, by name.

The text of a script consists of the table of legal moves (`shared/run/states.py`), the names of keys
(`shared/redis/keys.py`), the common parts (COMMON) and the file of its name, such as `scripts/claim.lua`.
So each fact stands in one place, in Python.
"""

from __future__ import annotations

from importlib.resources import files

from shared.redis import keys
from shared.redis.lua_script import LuaScript, lua_string, lua_table
from shared.run.run import CONTRACT
from shared.run.states import ENDS, MOVES

_SCRIPTS = files("shared.ledger") / "scripts"

COMMON = ("ledger", "waiting")
MORE = {"claim": ("adopt",)}

_NUMBERS = (
    "AUDIT_LENGTH",
    "AUDIT_TTL_MS",
    "BELL_LENGTH",
    "BELL_TTL_MS",
    "CLOCK_STEP_MS",
    "FORFEIT_MS",
    "LANE_CHECK_MS",
    "OVERTAKE_MS",
    "PAUSED_MOST",
    "UNREADABLE_TTL_MS",
    "UNWATCHED_MS",
    "WATCH_TTL_MS",
    "WORKER_MEMORY_MS",
)


def ledger_script(script: str, names: keys.Keys) -> LuaScript:
    """The script of this name (such as `claim`) for the keys of one namespace."""
    facts = {**_state_tables(), **_key_facts(names)}
    head = "\n".join(f"local {name} = {value}" for name, value in facts.items())
    return LuaScript("\n".join((head, *map(_read, (*COMMON, *MORE.get(script, ()), script)))))


def _state_tables() -> dict[str, str]:
    moves = {state.value: lua_table({to.value: "true" for to in targets}) for state, targets in MOVES.items()}
    return {"MOVES": lua_table(moves), "ENDS": lua_table({state.value: "true" for state in ENDS})}


def _key_facts(names: keys.Keys) -> dict[str, str]:
    tallies = {name: lua_table({"ms": str(ms), "keep": str(keep)}) for name, (ms, keep) in keys.TALLIES.items()}
    return {
        "CONTRACT": str(CONTRACT),
        "MOST": str(2**53),  # a larger number is not exact as a score
        "ALL": lua_string(keys.ALL),
        "TALLIES": lua_table(tallies),
        "KEY": lua_table({name: lua_string(key) for name, key in names.prefixes().items()}),
        **{name: str(getattr(keys, name)) for name in _NUMBERS},
    }


def _read(name: str) -> str:
    return (_SCRIPTS / f"{name}.lua").read_text()
