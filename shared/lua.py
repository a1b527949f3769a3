"""The Lua scripts: one act each, all or nothing.

A ledger script's text is the table of legal moves (`shared/states.py`), the names of keys (`shared/keys.py`), the
common part (`scripts/ledger.lua`) and the act. A log script's is `scripts/log.lua` and the act. So each fact is
spelled once, in Python.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files

from shared import keys
from shared.pipe import Script
from shared.run import CONTRACT
from shared.states import ENDS, MOVES

_SCRIPTS = files("shared") / "scripts"


def ledger_script(act: str, names: keys.Keys) -> Script:
    moves = {state.value: _table({to.value: "true" for to in targets}) for state, targets in MOVES.items()}
    tallies = {name: _table({"ms": str(ms), "keep": str(keep)}) for name, (ms, keep) in keys.TALLIES.items()}
    facts = {
        "CONTRACT": str(CONTRACT),
        "MOVES": _table(moves),
        "ENDS": _table({state.value: "true" for state in ENDS}),
        "ALL": _quoted(keys.ALL),
        "TALLIES": _table(tallies),
        "KEY": _table({name: _quoted(key) for name, key in names.prefixes().items()}),
        **{
            name: str(getattr(keys, name))
            for name in (
                "AUDIT_LENGTH",
                "AUDIT_TTL_MS",
                "BELL_LENGTH",
                "BELL_TTL_MS",
                "LANE_CHECK_MS",
                "OVERTAKE_MS",
                "PAUSED_MOST",
                "UNWATCHED_MS",
                "WATCH_TTL_MS",
                "WORKER_MEMORY_MS",
            )
        },
    }
    head = "\n".join(f"local {name} = {value}" for name, value in facts.items())
    return Script("\n".join((head, _read("ledger"), _read(act))))


def log_script(act: str) -> Script:
    return Script("\n".join((_read("log"), _read(act))))


def _read(name: str) -> str:
    return (_SCRIPTS / f"{name}.lua").read_text()


def _table(fields: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"[{_quoted(name)}] = {value}" for name, value in sorted(fields.items())) + "}"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
