"""Looks, before any run, whether the executable and the script that a command line names are there."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path, PurePath

from shared.run.errors import SettingsError

# Programs whose first word is a script, and programs that start another program. Of any other program nobody knows
# which of its words name files that have to be there.
_INTERPRETER = re.compile(
    r"python[\d.]*|pypy[\d.]*|node|bun|deno|tsx|ts-node|bash|dash|sh|zsh|ruby|perl|php|Rscript|lua"
)
_LAUNCHERS = {"env", "uv", "uvx", "npx", "bunx", "pnpm", "yarn", "poetry", "pipenv", "hatch", "pdm", "rye", "conda"}
_LAUNCHERS |= {"nice", "ionice", "nohup", "setsid", "stdbuf", "time", "timeout", "unbuffer", "xvfb-run", "sudo", "exec"}
_SUFFIXES = {".py", ".pyz", ".js", ".mjs", ".cjs", ".ts", ".mts", ".sh", ".bash", ".rb", ".pl", ".php", ".R", ".lua"}
_NO_SCRIPT = {
    "-c",
    "-m",
    "-e",
    "-E",
    "-p",
    "-s",
    "-r",
    "--eval",
    "--print",
    "-",
}  # the program itself, or no file, follows


def script_at(command: Sequence[str]) -> int | None:
    """The place of the script in the command line; None when it names none, or nobody can tell."""
    name = PurePath(command[0]).name
    if _INTERPRETER.fullmatch(name):
        return _of_interpreter(command)
    if name in _LAUNCHERS:
        for place, word in enumerate(command[1:], 1):
            if _INTERPRETER.fullmatch(PurePath(word).name):
                found = script_at(command[place:])
                return None if found is None else place + found
            if _is_script(word):
                return place
    return None


def _of_interpreter(command: Sequence[str]) -> int | None:
    options = False
    for place, word in enumerate(command[1:], 1):
        if word in _NO_SCRIPT:
            return None
        if word.startswith("-") or word == "run":  # `deno run`, `bun run`
            options = True
        elif _is_script(word) or not options:  # behind an option it may be that option's value
            return place
    return None


def _is_script(word: str) -> bool:
    return PurePath(word).suffix in _SUFFIXES and not word.startswith("-")


def check_command(command: Sequence[str], *, folder: Path, path: str) -> None:
    """Raises SettingsError when the executable is not on `path`, or its script is not a file. `folder` is where a
    relative script is looked for."""
    if shutil.which(command[0], path=path) is None:
        raise SettingsError(f"command: no executable {command[0]!r} on PATH ({path})")
    place = script_at(command)
    if place is not None and not os.path.isfile(folder / command[place]):  # noqa: PTH113 - Path.is_file raises for long words
        raise SettingsError(f"command: {command[0]} should run {command[place]!r}, which is no file in {folder}")
