"""What goes wrong for the person at the terminal: one line, and the exit code. docs/operating.md has the codes."""

from __future__ import annotations

from enum import IntEnum

from shared.run.errors import RunrelayError


class ExitCode(IntEnum):
    OK = 0
    FAILED = 1  # the run failed or was cancelled; the doctor found something that must be mended
    USAGE = 2  # Typer's own: the command line is wrong
    UNREACHABLE = 3  # nobody answers, or not now
    FORBIDDEN = 4  # the token is missing, unknown, or without the scope
    NOT_FOUND = 5  # no such run, worker or agent
    REFUSED = 6  # the service does not do this: the state of things, or the request itself
    INTERRUPTED = 130  # Ctrl-C
    PIPE = 141  # whoever read the output has left


class CliError(RunrelayError):
    def __init__(self, code: ExitCode, message: str) -> None:
        super().__init__(message)
        self.code = code
