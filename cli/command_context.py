"""The context of a command: environment, options, output, and the service that `make run` started."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from cli.api_client import ApiClient
from cli.terminal_output import Output
from shared import local_session
from shared.local_session import LocalSession

DEFAULT_URL = "http://127.0.0.1:8000"

AsJson = Annotated[bool, typer.Option("--json", help="JSON for programs instead of text for people.")]


@dataclass(frozen=True)
class CommandContext:
    """`url` and `token` are options of the command line. Without them the environment counts, and then the session that
    `make run` wrote into one of `folders`.
    """

    environment: Mapping[str, str]
    url: str | None = None
    token: str | None = None
    output: Output = field(default_factory=Output)
    folders: Sequence[Path] = ()  # where `make run` may have written its session

    @property
    def local(self) -> LocalSession | None:
        return next(filter(None, map(local_session.read, self.folders)), None)

    def service(self) -> ApiClient:
        url = self.url or self.environment.get("RUNRELAY_URL")
        token = self.token or self.environment.get("RUNRELAY_TOKEN")
        if url is None and (local := self.local):
            return ApiClient(local.url, token or local.token)
        return ApiClient((url or DEFAULT_URL).rstrip("/"), token)


def command_context(context: typer.Context) -> CommandContext:
    assert isinstance(context.obj, CommandContext), context.obj
    return context.obj


def stdin_is_open() -> bool:
    """Whether stdin is a pipe or a file, and not a terminal."""
    return not sys.stdin.isatty()
