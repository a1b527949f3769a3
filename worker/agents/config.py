"""What an operator writes into agents.toml: a frozen value per agent, or one line about the first mistake."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from shared.ledger.presence import ANY
from shared.run.agent_ids import DEFAULT_AGENT, normalise_agent_id
from shared.run.errors import SettingsError
from shared.run.json_object import JsonObject
from shared.run.model_params import PARAMS, TOOLS, USUAL
from shared.run.run import Policy
from worker.agents.command.argument import PLACEHOLDER, is_place
from worker.agents.command.cli_conversation import CONVERSATION, is_place_of_id
from worker.agents.command.limits import Limits
from worker.agents.presets import DEFAULT_ENV, PRESETS, SESSION_WORKDIR, filled


def _entry(text: str) -> str:
    if not re.fullmatch(r"[\w.]+:[\w.]+", text):
        raise ValueError("must be module:attribute, such as examples.python.echo:reply")
    return text


def _http_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an http:// or https:// address, such as https://api.openai.com/v1")
    return text


def _workdir(text: str) -> str:
    if "{" in text and text != SESSION_WORKDIR:
        raise ValueError(f'must be a path or "{SESSION_WORKDIR}", the directory of the session')
    return text


def _variable(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z_]\w*", text, re.ASCII):
        raise ValueError("must be the name of an environment variable")
    return text


def _word(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not hold a NUL character")
    return text


def _param(text: str) -> str:
    if text not in (TOOLS, *PARAMS):
        raise ValueError(f"is no field that a run carries; those are {', '.join((TOOLS, *PARAMS))}")
    return text


def _fixed(params: JsonObject) -> JsonObject:
    if ours := [name for name in ("model", "messages", "stream", "stream_options", "n") if name in params]:
        raise ValueError(f"{ours[0]} cannot be set here")
    try:
        json.dumps(params, allow_nan=False)
    except ValueError:
        raise ValueError("must not hold a number that is none in JSON, such as inf") from None
    return params


ParamName = Annotated[str, AfterValidator(_param)]
Word = Annotated[str, AfterValidator(_word)]
VariableName = Annotated[str, AfterValidator(_variable)]


class _Config(Policy):
    """What every kind of agent has, beside the keys of its Policy."""

    model_config = ConfigDict(frozen=True, alias_generator=None)

    description: str = ""
    timeout_seconds: float | None = Field(None, gt=0, allow_inf_nan=False)  # None: the service's own

    @property
    def policy(self) -> Policy:
        return Policy(**{name: getattr(self, name) for name in Policy.model_fields})


class Warm(BaseModel):
    """Processes that are started before they are needed, and kept for their session's next turn; per worker."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ready: int = Field(1, ge=0, le=100)  # for any session
    kept: int = Field(4, ge=0, le=1_000)  # for the sessions that used them last
    idle_seconds: float = Field(300, gt=0, allow_inf_nan=False)  # one that is kept longer ends
    turns: int = Field(50, ge=1)  # one that had so many ends


def _warm(written: object) -> object:
    """A number is how many shall be ready."""
    if isinstance(written, int) and not isinstance(written, bool):
        if written < 1:
            raise ValueError("must be at least 1, or a table; leave it out to start the command for each run")
        return {"ready": written}
    return written


class CommandConfig(_Config):
    """An executable and its arguments, never run through a shell."""

    kind: Literal["command"]
    preset: Literal["claude", "codex", "gemini", "opencode", "pi", "openclaw"] | None = None  # fills in what follows
    command: tuple[Word, ...] = Field(min_length=1)
    args: tuple[Word, ...] = ()  # put behind `command`, such as the model that a preset is to use
    resume: tuple[Word, ...] = ()  # put behind both, to go on in the CLI's own {conversation}
    forget: tuple[Word, ...] = ()  # put there instead when the session has no name, so that nothing is left of it
    input: Literal["stdin", "json", "argument"] = "stdin"
    output: Literal["text", "jsonl", "claude", "codex", "gemini", "opencode", "pi", "openclaw"] = "text"
    env: tuple[VariableName, ...] = DEFAULT_ENV  # what of the worker's environment the command gets
    workdir: Annotated[str, AfterValidator(_workdir)] | None = None  # None: the worker's own directory
    limits: Limits = Limits()
    warm: Annotated[Warm | None, BeforeValidator(_warm)] = None  # None: started for each run

    @model_validator(mode="before")
    @classmethod
    def _filled(cls, written: dict[str, object]) -> dict[str, object]:
        preset = written.get("preset")
        return filled(preset, written) if isinstance(preset, str) and preset in PRESETS else written

    @model_validator(mode="after")
    def _can_be_warm(self) -> CommandConfig:
        able = [name for name, preset in PRESETS.items() if preset.warm]
        if self.warm and (self.output not in able or self.input != "stdin"):
            raise ValueError(
                f"warm: is for a command that reads one turn after the other: output = one of {', '.join(able)}, and "
                'input = "stdin"'
            )
        return self

    @model_validator(mode="after")
    def _place_of_prompt(self) -> CommandConfig:
        for index, item in enumerate((*self.command, *self.args)):
            if PLACEHOLDER in item and not (index and self.input == "argument" and is_place(item)):
                raise ValueError(
                    f"command: {PLACEHOLDER} is allowed as an item of its own, or as --option={PLACEHOLDER}, "
                    'after the executable, with input = "argument"'
                )
        return self

    @model_validator(mode="after")
    def _place_of_conversation(self) -> CommandConfig:
        if any(CONVERSATION in item for item in (*self.command, *self.args, *self.forget)):
            raise ValueError(f"command: {CONVERSATION} is allowed in `resume` only")
        places = [item for item in self.resume if CONVERSATION in item]
        if self.resume and not (len(places) == 1 and is_place_of_id(places[0])):
            raise ValueError(
                f"resume: must have {CONVERSATION} once, as an item of its own, or as --option={CONVERSATION}"
            )
        return self


class PythonConfig(_Config):
    """A function in the worker's own process."""

    kind: Literal["python"]
    entry: Annotated[str, AfterValidator(_entry)]


class OpenAIConfig(_Config):
    """A model behind an OpenAI-compatible API."""

    kind: Literal["openai"]
    base_url: Annotated[str, AfterValidator(_http_url)]
    model: str = Field(min_length=1)
    api_key_env: VariableName | None = None  # the variable that holds the key; None: none is needed
    allowed_params: tuple[ParamName, ...] = (TOOLS, *USUAL)  # fields of a request that reach the model
    params: Annotated[JsonObject, AfterValidator(_fixed)] = Field({})  # what is the same in all requests
    max_retries: int = Field(2, ge=0, le=10)  # after failures before the first byte of an answer


class DemoConfig(_Config):
    """The built-in demo agent."""

    kind: Literal["demo"] = "demo"


AgentConfig = CommandConfig | PythonConfig | OpenAIConfig | DemoConfig
_KINDS: dict[str, type[AgentConfig]] = {
    "command": CommandConfig,
    "python": PythonConfig,
    "openai": OpenAIConfig,
    "demo": DemoConfig,
}


def load_agents(path: Path, *, required: bool) -> dict[str, AgentConfig]:
    """The agents of a file by id; `*` stands for every other id. Raises SettingsError, one line.

    A file that is not there holds none, unless it is `required`.
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
    """An agent's place in the file, for messages."""
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
    if not isinstance(kind, str) or kind not in _KINDS:
        raise SettingsError(f"kind: must be one of {', '.join(_KINDS)}")
    config = _KINDS[kind]
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


# For what pydantic tells in the words of Python.
_OWN_WORDS = {
    "missing": "is missing",
    "tuple_type": "must be a list",
    "model_type": "must be a table",
    "too_short": "must not be empty",
    "string_too_short": "must not be empty",
}


def _complaint(location: tuple[int | str, ...], kind: str, message: str) -> str:
    """Says never the value: somebody may have put a key there."""
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).removeprefix(".")
    text = _OWN_WORDS.get(kind, message.removeprefix("Value error, ").replace("Input should be", "must be"))
    return f"{key}: {text}" if key else text
