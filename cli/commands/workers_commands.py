"""`runrelay workers`: lists the processes of the service, drains and resumes workers."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from cli.api_client import ApiClient
from cli.cli_error import CliError, ExitCode
from cli.command_context import AsJson, command_context
from cli.text_format import duration, size
from shared.ledger.operator_views import WorkersView

app = typer.Typer(no_args_is_help=True, help="The processes of the service; drain and resume workers.")

WORKERS = "/v1/admin/workers"

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the worker, or a part that only one worker has.")]


@app.command("ls")
def list_workers(context: typer.Context, as_json: AsJson = False) -> None:
    """List workers and web processes that announced themselves in the last ten minutes."""
    here = command_context(context)
    with here.service() as service:
        seen = service.get(WorkersView, WORKERS)
    if as_json:
        here.output.json(seen)
    else:
        here.output.table(COLUMNS, worker_rows(seen))


@app.command()
def drain(context: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Make a worker finish its runs and take no more, until it is resumed or restarted."""
    _post(context, "drain", name, as_json)


@app.command()
def resume(context: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Make a worker take runs again."""
    _post(context, "resume", name, as_json)


def _post(context: typer.Context, action: str, name: str, as_json: bool) -> None:
    here = command_context(context)
    with here.service() as service:
        worker = _named(service, name)
        seen = service.post(WorkersView, f"{WORKERS}/{worker}/{action}")
    if as_json:
        here.output.json(seen)
    else:
        here.output.say(f"{worker}: told to {action}")


def _named(service: ApiClient, name: str) -> str:
    names = [worker.name for worker in service.get(WorkersView, WORKERS).workers if worker.state != "gone"]
    fitting = [name] if name in names else [one for one in names if name in one]
    if len(fitting) == 1:
        return fitting[0]
    known = ", ".join(fitting or names) or "none"
    raise CliError(ExitCode.NOT_FOUND, f"`{name}` names {len(fitting)} workers. There are: {known}.")


COLUMNS = ("NAME", "STATE", "RUNS", "AGENTS", "LAG", "MEMORY", "UP", "HEARD OF", "VERSION")


def worker_rows(seen: WorkersView) -> list[tuple[str, ...]]:
    now = time.time() * 1000
    workers = [
        (
            worker.name,
            worker.state,
            f"{worker.running}/{worker.slots}",
            " ".join(worker.agents),
            "-",
            size(worker.memory_bytes),
            duration(max(0, now - worker.since_ms)),
            f"{duration(worker.age_ms)} ago",
            worker.version,
        )
        for worker in seen.workers
    ]
    webs = [
        (
            web.name,
            web.state,
            f"{web.streams} streams",
            "-",
            duration(web.lag_ms),
            size(web.memory_bytes),
            duration(max(0, now - web.since_ms)),
            f"{duration(web.age_ms)} ago",
            web.version,
        )
        for web in seen.webs
    ]
    return [*workers, *webs]
