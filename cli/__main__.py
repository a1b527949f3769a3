"""The entry point of `python -m cli` and of the script `runrelay`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import typer

from cli.application import application
from cli.cli_error import CliError
from cli.command_context import CommandContext
from shared.local_session import FOLDER


def main() -> None:
    folders = [folder / FOLDER for folder in (Path.cwd(), Path(__file__).parents[1])]
    try:
        typer.main.get_command(application()).main(
            prog_name="runrelay", obj=CommandContext(os.environ, folders=folders)
        )
    except CliError as error:
        print(f"runrelay: {error}", file=sys.stderr)
        sys.exit(error.code)


if __name__ == "__main__":
    main()
