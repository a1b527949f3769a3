"""The error of a command: one line for the user, and the exit code. docs/operating.md lists the codes."""

from __future__ import annotations

from enum import IntEnum

from shared.run.errors import RunrelayError


class ExitCode(IntEnum):
    OK = 0
    FAILED = 1  # the run failed or was cancelled; the doctor found something that must be mended
    USAGE = 2  # Typer's own: the command line is wrong
    UNREACHABLE = 3  # the service or Redis does not answer, or cannot serve requests now
    FORBIDDEN = 4  # the token is missing, unknown, or without the scope
    NOT_FOUND = 5  # no such run, worker or agent
    REFUSED = 6  # the service refused the request: because of the state of a run, or of the request itself
    INTERRUPTED = 130  # Ctrl-C
    PIPE = 141  # the program that read the output has ended


class CliError(RunrelayError):
    def __init__(self, code: ExitCode, message: str) -> None:
        super().__init__(message)
        self.code = code
