"""`runrelay run`: sends a prompt to an agent, and prints its answer as it comes."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from pydantic import BaseModel

from cli.api_client import ApiClient
from cli.cli_error import CliError, ExitCode
from cli.command_context import AsJson, command_context, stdin_is_open
from cli.follow_events import follow_events
from cli.run_printer import print_run


class _Run(BaseModel):
    id: str


def run(
    context: typer.Context,
    agent: Annotated[str, typer.Argument(help="Id of the agent.")],
    prompt: Annotated[
        str | None, typer.Argument(help="The prompt. `-`, or no argument with a pipe: standard input.")
    ] = None,
    session: Annotated[str | None, typer.Option(help="Session key of a conversation to begin or to continue.")] = None,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Print the run's id and do not wait for it.")] = False,
    as_json: AsJson = False,
) -> None:
    """Ask an agent, and print its answer as it comes. Ctrl-C stops the run."""
    here = command_context(context)
    body: dict[str, object] = {"agent": agent, "input": _read_prompt(prompt), "background": detach}
    if session is not None:
        body["session"] = session
    with here.service() as service:
        made = service.post(_Run, "/v1/runs", body)
        if detach:
            here.output.json(made) if as_json else here.output.raw(f"{made.id}\n")
            return
        try:
            print_run(follow_events(service, f"/v1/runs/{made.id}/events"), here.output, as_json=as_json)
        except KeyboardInterrupt:
            _cancel(service, made.id)


def _read_prompt(prompt: str | None) -> str:
    if prompt == "-" or (prompt is None and stdin_is_open()):
        prompt = sys.stdin.read()
    if not (prompt or "").strip():
        raise CliError(ExitCode.USAGE, 'Say what the agent is to do: `runrelay run AGENT "prompt"`, or pipe it in.')
    return prompt or ""


def _cancel(service: ApiClient, run_id: str) -> None:
    service.post(_Run, f"/v1/runs/{run_id}/cancel")
    raise CliError(ExitCode.INTERRUPTED, f"Run {run_id} is cancelled.") from None
