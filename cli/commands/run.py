"""`runrelay run`: ask an agent, and read its answer as it is made."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from pydantic import BaseModel

from cli.following import followed
from cli.problem import Code, Problem
from cli.service import Service
from cli.speech import spoken
from cli.world import AsJson, stdin_is_open, world


class _Run(BaseModel):
    id: str


def run(
    context: typer.Context,
    agent: Annotated[str, typer.Argument(help="Id of the agent.")],
    prompt: Annotated[
        str | None, typer.Argument(help="What to say; `-`, or nothing with a pipe: standard input.")
    ] = None,
    session: Annotated[str | None, typer.Option(help="Session key: a conversation to begin or to go on with.")] = None,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Print the run's id and do not wait for it.")] = False,
    as_json: AsJson = False,
) -> None:
    """Ask an agent, and print its answer as it comes. Ctrl-C stops the run."""
    here = world(context)
    body: dict[str, object] = {"agent": agent, "input": _said(prompt), "background": detach}
    if session is not None:
        body["session"] = session
    with here.service() as service:
        made = service.post(_Run, "/v1/runs", body)
        if detach:
            here.output.json(made) if as_json else here.output.raw(f"{made.id}\n")
            return
        try:
            spoken(followed(service, f"/v1/runs/{made.id}/events"), here.output, as_json=as_json)
        except KeyboardInterrupt:
            _cancel(service, made.id)


def _said(prompt: str | None) -> str:
    if prompt == "-" or (prompt is None and stdin_is_open()):
        prompt = sys.stdin.read()
    if not (prompt or "").strip():
        raise Problem(Code.USAGE, 'Say what the agent is to do: `runrelay run AGENT "prompt"`, or pipe it in.')
    return prompt or ""


def _cancel(service: Service, run_id: str) -> None:
    service.post(_Run, f"/v1/runs/{run_id}/cancel")
    raise Problem(Code.INTERRUPTED, f"Run {run_id} is cancelled.") from None
