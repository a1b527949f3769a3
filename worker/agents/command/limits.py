"""The resources that a command and all its descendants may use: `limits = {...}`.

The kernel enforces the limits. A shell sets them and then becomes the command (`exec`), so every descendant inherits
them and no process runs without them. Refused alternatives: the worker sets them once the command runs, but then the
processes that the command has started already would be free; a Python instead of the shell, which takes 10 ms per start
instead of 0.5; prlimit(1), which only Linux has. The shell's script consists of our numbers alone. The command line,
and a prompt in it, are its positional parameters: data, which the shell passes on unchanged.
"""

from __future__ import annotations

import resource
import signal
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from shared.run.errors import ErrorCode, RunError

CPU_GRACE_SECONDS = 1  # between SIGXCPU, which a program may catch, and SIGKILL

Count = Annotated[int, Field(ge=1, le=1_000_000, strict=True)]


class Limits(BaseModel):
    """The limits of each single process, except `processes`, which counts them. None: the worker's own limit."""

    model_config = ConfigDict(frozen=True)

    cpu_seconds: Count | None = None
    memory_mb: Count | None = None  # memory that it allocates, not memory that it reserves or maps from files
    file_mb: Count | None = None  # of each file that it writes
    open_files: Annotated[int, Field(ge=16, le=1_000_000, strict=True)] | None = None
    processes: Count | None = None  # and threads, all of the user's: the worker's and other agents' as well

    @model_validator(mode="before")
    @classmethod
    def _known(cls, written: object) -> object:
        if not isinstance(written, Mapping):
            raise ValueError("must be a table, such as {cpu_seconds = 60}")
        for name in written:
            if name not in _LIMITS:
                near = get_close_matches(str(name), _LIMITS, n=1)
                hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(_LIMITS)}"
                raise ValueError(f"{name}: unknown limit; {hint}")
        return written

    def around(self, command: Iterable[str]) -> tuple[str, ...]:
        """The command line that runs `command` within these limits."""
        settings = [_LIMITS[name].setting(value) for name, value in self._set.items()]
        if not settings:
            return tuple(command)
        # Shells add these variables to an environment, and a command gets exactly the variables that it may have.
        script = "; ".join(["set -e", *settings, "unset PWD OLDPWD SHLVL", 'exec "$@"'])
        return ("/bin/sh", "-c", script, "sh", *command)

    def check(self, code: int) -> None:
        """Raises RunError when the exit code shows that a limit has ended the command."""
        for name, value in self._set.items():
            limit = _LIMITS[name]
            # A shell whose program was ended by a signal exits with 128 and the signal's number.
            if limit.signal is not None and code in (-limit.signal, 128 + limit.signal):
                raise RunError(ErrorCode.AGENT_FAILED, f"The agent {limit.passed.format(value)}.")

    def __str__(self) -> str:
        """For operators, beside the reason of a failure: most programs report a limit as an error of their own."""
        return ", ".join(f"{name} = {value}" for name, value in self._set.items())

    @property
    def _set(self) -> dict[str, int]:
        return {name: value for name in _LIMITS if (value := getattr(self, name)) is not None}


@dataclass(frozen=True)
class _Limit:
    setting: Callable[[int], str]  # in shell
    signal: signal.Signals | None = None  # that the kernel sends to a process that exceeds the limit
    passed: str = ""  # the message's words for what that process has done


def _at_most(kind: int, value: int) -> int:
    """`value`, or the worker's own hard limit if that is lower: no process may raise its own limit."""
    hard = resource.getrlimit(kind)[1]
    return value if hard == resource.RLIM_INFINITY else min(value, hard)


def _cpu(seconds: int) -> str:
    soft, hard = (_at_most(resource.RLIMIT_CPU, value) for value in (seconds, seconds + CPU_GRACE_SECONDS))
    return f"ulimit -S -t {soft}; ulimit -H -t {hard}"


def _memory(megabytes: int) -> str:
    # Not the address space (-v): runtimes reserve gigabytes of it that they never use. Gemini CLI does not even start
    # with 4 GB of address space, and it answers with 1 GB of data.
    return f"ulimit -d {_at_most(resource.RLIMIT_DATA, megabytes << 20) // 1024}"


def _file(megabytes: int) -> str:
    return f"ulimit -f {_at_most(resource.RLIMIT_FSIZE, megabytes << 20) // 512}"


def _open_files(number: int) -> str:
    return f"ulimit -n {_at_most(resource.RLIMIT_NOFILE, number)}"


def _processes(number: int) -> str:
    number = _at_most(resource.RLIMIT_NPROC, number)
    return f"ulimit -u {number} 2>/dev/null || ulimit -p {number}"  # dash has `-p` for it


_LIMITS: Mapping[str, _Limit] = {
    "cpu_seconds": _Limit(_cpu, signal.SIGXCPU, "used more than {} s of CPU time"),
    "memory_mb": _Limit(_memory),
    "file_mb": _Limit(_file, signal.SIGXFSZ, "wrote a file of more than {} MB"),
    "open_files": _Limit(_open_files),
    "processes": _Limit(_processes),
}
