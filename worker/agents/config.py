"""Reads agents.toml: returns a frozen value per agent, or raises one line about the first mistake."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from pathlib import Path

from pydantic import ValidationError

from shared.ledger.presence import ANY
from shared.run.agent_ids import DEFAULT_AGENT, normalise_agent_id
from shared.run.errors import SettingsError
from worker.agents.kinds import KINDS, AgentConfig


def load_agents(path: Path, *, required: bool) -> dict[str, AgentConfig]:
    """Reads the agents of a file, by id. `*` serves every other id. Raises SettingsError with one line.

    Returns no agents when the file is missing and not `required`.
    """
    try:
        with path.open("rb") as file:
            return _agents(tomllib.load(file))
    except FileNotFoundError:
        if not required:
            return {}
        raise SettingsError(f"{path}: no such file") from None
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: is not TOML: {error}") from error
    except SettingsError as wrong:
        raise SettingsError(f"{path}: {wrong}") from wrong


def toml_table(agent_id: str) -> str:
    """The name of an agent's table in the file, for messages."""
    return f"[agents.{agent_id}]" if re.fullmatch(r"[A-Za-z0-9_-]+", agent_id) else f'[agents."{agent_id}"]'


def _agents(document: Mapping[str, object]) -> dict[str, AgentConfig]:
    _check_keys(document, ["agents"])
    agents = document.get("agents")
    if not isinstance(agents, dict) or not agents:
        raise SettingsError(f"has no agent; write a table [agents.{DEFAULT_AGENT}]")
    return {agent_id: _agent(agent_id, written) for agent_id, written in agents.items()}


def _agent(agent_id: str, written: object) -> AgentConfig:
    if agent_id != ANY and normalise_agent_id(agent_id) != agent_id:
        allowed = 'a-z, 0-9, "_" and "-", at most 64, a letter or digit first; or "*" for any'
        raise SettingsError(f"{toml_table(agent_id)} is not a legal id; allowed are {allowed}")
    if not isinstance(written, dict):
        raise SettingsError(f"{toml_table(agent_id)} must be a table")
    try:
        return _config(written)
    except SettingsError as wrong:
        raise SettingsError(f"{toml_table(agent_id)} {wrong}") from wrong


def _config(written: Mapping[str, object]) -> AgentConfig:
    kind = written.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise SettingsError(f"kind: must be one of {', '.join(KINDS)}")
    config = KINDS[kind]
    _check_keys(written, config.model_fields)
    try:
        return config.model_validate(written)
    except ValidationError as wrong:
        first = wrong.errors()[0]
        raise SettingsError(_complaint(first["loc"], first["type"], first["msg"])) from wrong


def _check_keys(written: Mapping[str, object], allowed: Collection[str]) -> None:
    for key in written:
        if key not in allowed:
            near = get_close_matches(key, allowed, n=1)
            hint = f"did you mean {near[0]}?" if near else f"allowed are {', '.join(allowed)}"
            raise SettingsError(f"{key}: unknown key; {hint}")


# They replace messages in which pydantic names types of Python.
_OWN_MESSAGES = {
    "missing": "is missing",
    "tuple_type": "must be a list",
    "model_type": "must be a table",
    "too_short": "must not be empty",
    "string_too_short": "must not be empty",
}


def _complaint(location: tuple[int | str, ...], kind: str, message: str) -> str:
    """The message for a wrong key. It never holds the value: an operator may have pasted a secret there."""
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).removeprefix(".")
    text = _OWN_MESSAGES.get(kind, message.removeprefix("Value error, ").replace("Input should be", "must be"))
    return f"{key}: {text}" if key else text
