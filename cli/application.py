"""The command line: all commands, and the options that they share."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from cli.command_context import command_context
from cli.commands import queue_commands, runs_commands, workers_commands
from cli.commands.doctor import doctor
from cli.commands.run_command import run
from cli.commands.top import top
from shared.run.release import RELEASE


def application() -> typer.Typer:
    app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown", pretty_exceptions_enable=False)
    app.callback()(_common)
    for command in (run, top, doctor):
        app.command()(command)
    app.add_typer(runs_commands.app, name="runs")
    app.add_typer(queue_commands.app, name="queue")
    app.add_typer(workers_commands.app, name="workers")
    return app


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"runrelay {RELEASE}")
        raise typer.Exit


def _common(
    context: typer.Context,
    url: Annotated[
        str | None, typer.Option(help="Address of the service. Default: RUNRELAY_URL, else the one of `make run`.")
    ] = None,
    token: Annotated[
        str | None, typer.Option(help="The token. Better in RUNRELAY_TOKEN: `ps` shows options to other users.")
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Use a runrelay service: run agents, and operate its runs, queue and workers.

    Beside a service that `make run` has started, no setting is needed.
    """
    context.obj = replace(command_context(context), url=url, token=token)
