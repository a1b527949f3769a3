"""The keys of an agent of kind `command` in agents.toml."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from worker.agents.command.argument import PLACEHOLDER, is_place
from worker.agents.command.cli_conversation import CONVERSATION, is_place_of_id
from worker.agents.command.limits import Limits
from worker.agents.command.presets import DEFAULT_ENV, PRESETS, SESSION_WORKDIR, filled
from worker.agents.common_config import PATIENCE_SECONDS, CommonConfig, Patience, VariableName


def _workdir(text: str) -> str:
    if "{" in text and text != SESSION_WORKDIR:
        raise ValueError(f'must be a path or "{SESSION_WORKDIR}", the directory of the session')
    return text


def _word(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not hold a NUL character")
    return text


Word = Annotated[str, AfterValidator(_word)]


class Warm(BaseModel):
    """Limits of the processes that each worker starts in advance, and keeps for their session's next turn."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ready: int = Field(1, ge=0, le=100)  # processes for any session
    kept: int = Field(4, ge=0, le=1_000)  # processes for the sessions that used them last
    idle_seconds: float = Field(300, gt=0, allow_inf_nan=False)  # the worker ends a process that is idle for longer
    turns: int = Field(50, ge=1)  # the worker ends a process after so many turns


def _warm(written: object) -> object:
    """Turns a number into a table with `ready`."""
    if isinstance(written, int) and not isinstance(written, bool):
        if written < 1:
            raise ValueError("must be at least 1, or a table; leave it out to start the command for each run")
        return {"ready": written}
    return written


class CommandConfig(CommonConfig):
    """An executable and its arguments, never run through a shell."""

    kind: Literal["command"]
    preset: Literal["claude", "codex", "gemini", "opencode", "pi", "openclaw"] | None = None  # fills in the keys below
    command: tuple[Word, ...] = Field(min_length=1)
    args: tuple[Word, ...] = ()  # appended to `command`, such as the model that a preset uses
    resume: tuple[Word, ...] = ()  # appended to both, to continue the CLI's own {conversation}
    forget: tuple[Word, ...] = ()  # appended instead in a session without a name, so that the CLI keeps nothing
    input: Literal["stdin", "json", "argument"] = "stdin"
    output: Literal["text", "jsonl", "claude", "codex", "gemini", "opencode", "pi", "openclaw"] = "text"
    env: tuple[VariableName, ...] = DEFAULT_ENV  # the worker's variables that the command gets
    workdir: Annotated[str, AfterValidator(_workdir)] | None = None  # None: the worker's own directory
    limits: Limits = Limits()
    patience_seconds: Patience = PATIENCE_SECONDS
    warm: Annotated[Warm | None, BeforeValidator(_warm)] = None  # None: the worker starts the command for each run

    @property
    def folder(self) -> Path:
        """Where the command's relative paths of files begin: its fixed directory, or the worker's."""
        return Path.cwd() if self.workdir in (None, SESSION_WORKDIR) else Path(self.workdir)

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
