"""`runrelay runs`: lists, shows, stops, repeats and deletes runs."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from cli.api_client import ApiClient
from cli.cli_error import CliError, ExitCode
from cli.command_context import AsJson, command_context
from cli.follow_events import follow_events
from cli.run_printer import print_run
from cli.terminal_output import Output
from cli.text_format import duration, line
from shared.ledger.operator_views import AdminRunDetail, AdminRunList, AdminRunView, Deleted, RerunResult
from shared.run.states import State

app = typer.Typer(no_args_is_help=True, help="Find runs, look at them, stop them, run them again.")

RUNS = "/v1/admin/runs"
PREFIX, UUID_CHARS = "chatcmpl_", 36  # of an id
SHORT_CHARS = len(PREFIX) + 8  # of an id on a narrow screen
SHOWN_MATCHES = 5
NARROW = 80  # columns: below it an id is shortened, so that what follows has room
PER_REQUEST = 200
MOST_RUNNING = 10_000  # running runs that `cancel --running-for` looks through

RunIds = Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of runs.")]
RunId = Annotated[str, typer.Argument(metavar="ID", help="Id of the run.")]
Agent = Annotated[str | None, typer.Option(help="Only runs of this agent.")]
Session = Annotated[str | None, typer.Option(help="Only runs of this session.")]
Owner = Annotated[str | None, typer.Option(help="Only runs of this credential.")]
Worker = Annotated[str | None, typer.Option(help="Only runs that this worker took last.")]
ErrorCode = Annotated[str | None, typer.Option("--code", help="Only runs with this code, such as `worker_lost`.")]
Since = Annotated[str | None, typer.Option(metavar="AGO", help="Only runs since then: 90s, 15m, 6h, 2d ago.")]


def _filters(
    agent: str | None, session: str | None, owner: str | None, worker: str | None, code: str | None, since: str | None
) -> dict[str, str | int]:
    named = {"agent": agent, "session": session, "owner": owner, "worker": worker, "code": code}
    filters: dict[str, str | int] = {name: value for name, value in named.items() if value}
    if since:
        filters["since_ms"] = _before_now("--since", since)
    return filters


def _before_now(option: str, text: str) -> int:
    """The time that was as long ago as `text` says, ms since the epoch. Raises CliError when `text` is no such time."""
    seconds = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}.get(text[-1:])
    if seconds is None or not text[:-1].isdecimal() or len(text) > 9:
        raise CliError(ExitCode.USAGE, f"{option} {text}: give a number and s, m, h or d, such as 15m.")
    return int((time.time() - int(text[:-1]) * seconds) * 1000)


def whole_id(service: ApiClient, text: str) -> str:
    """The id of the run that `text` begins, with or without the prefix of all ids. Raises CliError when several runs
    begin so. Text that begins no run is returned as it is: the service says that there is no such run."""
    if len(text) >= len(PREFIX) + UUID_CHARS:
        return text
    start = text if text.startswith(PREFIX) else PREFIX + text
    found = _found(service, {"id": start}, SHOWN_MATCHES)
    if len(found) > 1:
        raise CliError(ExitCode.USAGE, "\n".join([f"{text} begins several ids:", *(f"  {one.id}" for one in found)]))
    return found[0].id if found else text


@app.command("ls")
def list_runs(
    context: typer.Context,
    state: Annotated[State | None, typer.Option(help="Only runs in this state.")] = None,
    agent: Agent = None,
    session: Session = None,
    owner: Owner = None,
    worker: Worker = None,
    code: ErrorCode = None,
    since: Since = None,
    id: Annotated[str | None, typer.Option("--id", help="How the run's id begins.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Most runs to list.")] = 30,
    as_json: AsJson = False,
) -> None:
    """Runs, newest first. With --json one run on each line."""
    here = command_context(context)
    filters = _filters(agent, session, owner, worker, code, since)
    filters |= {name: value for name, value in (("state", state and state.value), ("id", id)) if value}
    with here.service() as service:
        rows = _found(service, filters, limit)
    if as_json:
        for row in rows:
            here.output.json(row)
    else:
        _print(here.output, rows)


def _found(service: ApiClient, filters: dict[str, str | int], limit: int) -> list[AdminRunView]:
    rows: list[AdminRunView] = []
    cursor: str | None = ""
    while cursor is not None and len(rows) < limit:
        params = {**filters, "limit": min(PER_REQUEST, limit - len(rows))}
        page = service.get(AdminRunList, RUNS, params | ({"cursor": cursor} if cursor else {}))
        rows += page.data
        cursor = page.next_cursor
    return rows


def _print(output: Output, rows: list[AdminRunView]) -> None:
    now = time.time() * 1000
    columns = ("ID", "STATE", "AGENT", "AGE", "WAIT", "FIRST TEXT", "TOOK", "ATTEMPT", "OWNER", "SESSION")
    cells = [_cells(row, now) for row in rows]
    if output.screen.width < NARROW:
        cells = [(one[0][:SHORT_CHARS], *one[1:]) for one in cells]
    output.table(columns, cells)


def _cells(row: AdminRunView, now: float) -> tuple[str, ...]:
    first = row.first_text_ms - row.started_ms if row.first_text_ms and row.started_ms else None
    took = (row.ended_ms or now) - row.started_ms if row.started_ms else None
    why = f" ({row.code})" if row.code else ""
    return (
        row.id,
        row.state.value,
        row.agent,
        duration(max(0, now - row.queued_ms)),
        duration(row.wait_ms),
        duration(first),
        duration(took) + why,
        str(row.attempt),
        row.owner,
        row.session,
    )


@app.command()
def show(context: typer.Context, run_id: RunId, as_json: AsJson = False) -> None:
    """Show a run: its prompt and answer, its steps, and why it failed."""
    here = command_context(context)
    with here.service() as service:
        run = service.get(AdminRunDetail, f"{RUNS}/{whole_id(service, run_id)}")
    if as_json:
        here.output.json(run)
    else:
        _show(here.output, run)


def _show(output: Output, run: AdminRunDetail) -> None:
    facts = {
        "id": run.id,
        "state": run.state.value + (f" ({run.cancel_requested})" if run.cancel_requested else ""),
        "agent": run.agent,
        "session": run.session,
        "owner": run.owner,
        "worker": run.worker,
        "attempts": f"{run.attempt} ({run.tries} counted)",
        "waited": duration(run.wait_ms),
        "position": None if run.queue_position is None else f"{run.queue_position} before it",
        "again of": run.again_of,
        "run again as": run.again,
    }
    for name, value in facts.items():
        if value:
            output.say(f"{name:>12}  {line(value)}")
    output.say("")
    began = run.queued_ms
    output.table(("AFTER", "STEP", "NOTE"), ((duration(max(0, s.at_ms - began)), s.what, s.note) for s in run.timeline))
    if not run.timeline_complete:
        output.say("... (more events than are shown here)")
    for title, text in (("Asked", run.message), ("Said", run.text)):
        if text:
            output.say(f"\n{title}:")
            output.raw(text.rstrip("\n") + "\n")
    if run.error:
        output.say(f"\nFailed ({run.error.code}): {line(run.error.message)}")
        if run.error.detail:
            output.raw(run.error.detail.rstrip("\n") + "\n")


@app.command()
def tail(context: typer.Context, run_id: RunId, as_json: AsJson = False) -> None:
    """Print the text of a run, from its beginning and as it comes. With --json its events."""
    here = command_context(context)
    with here.service() as service:
        # A run that is unknown fails here. After this, `follow_events` waits for a service that is away to come back.
        run_id = service.get(AdminRunDetail, f"{RUNS}/{whole_id(service, run_id)}").id
        print_run(follow_events(service, f"{RUNS}/{run_id}/events"), here.output, as_json=as_json)


@app.command()
def cancel(
    context: typer.Context,
    run_ids: Annotated[list[str] | None, typer.Argument(metavar="[ID...]", help="Ids of runs.")] = None,
    running_for: Annotated[
        str | None,
        typer.Option("--running-for", metavar="LONG", help="All runs that fit and have run this long: 10m, 2h."),
    ] = None,
    agent: Agent = None,
    session: Session = None,
    owner: Owner = None,
    worker: Worker = None,
    as_json: AsJson = False,
) -> None:
    """Stop runs, and every process of them: one or several, or with --running-for all that are stuck."""
    here = command_context(context)
    filters = _filters(agent, session, owner, worker, None, None)
    if bool(run_ids) == bool(running_for) or (filters and not running_for):
        raise CliError(ExitCode.USAGE, "Name the runs, or say --running-for and perhaps which; not both.")
    with here.service() as service:
        chosen = _running_since(service, filters, _before_now("--running-for", running_for)) if running_for else run_ids
        for run_id in chosen or ():
            run = service.post(AdminRunDetail, f"{RUNS}/{whole_id(service, run_id)}/cancel")
            here.output.json(run) if as_json else here.output.say(f"{run.id}: {_cancelled(run)}")
        if not chosen and not as_json:
            here.output.say(f"No run that fits has been running for {running_for}.")


def _running_since(service: ApiClient, filters: dict[str, str | int], moment_ms: int) -> list[str]:
    rows = _found(service, {**filters, "state": State.RUNNING.value}, MOST_RUNNING)
    return [row.id for row in rows if row.started_ms and row.started_ms <= moment_ms]


def _cancelled(run: AdminRunDetail) -> str:
    return run.state.value if run.ended_ms or run.state is not State.RUNNING else "is being stopped"


@app.command()
def retry(
    context: typer.Context,
    run_ids: Annotated[list[str] | None, typer.Argument(metavar="[ID...]", help="Ids of runs that have ended.")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="All that fit, failed, and were not run again.")] = False,
    agent: Agent = None,
    session: Session = None,
    owner: Owner = None,
    worker: Worker = None,
    code: ErrorCode = None,
    since: Since = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=100, help="Most runs to run again.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Run again: one run or several, or with --failed all that fit."""
    here = command_context(context)
    filters = _filters(agent, session, owner, worker, code, since)
    if bool(run_ids) == failed or (filters and not failed):
        raise CliError(ExitCode.USAGE, "Name the runs, or say --failed and perhaps which; not both.")
    with here.service() as service:
        for run_id in run_ids or ():
            run = service.post(AdminRunDetail, f"{RUNS}/{whole_id(service, run_id)}/retry")
            here.output.json(run) if as_json else here.output.say(f"{run_id} -> {run.id}")
        if failed:
            _retry_all(here.output, service.post(RerunResult, f"{RUNS}/retry", {**filters, "limit": limit}), as_json)


def _retry_all(output: Output, done: RerunResult, as_json: bool) -> None:
    if as_json:
        output.json(done)
        return
    for pair in done.data:
        output.say(f"{pair.id} -> {pair.again}")
    for one in done.refused:
        output.say(f"{one.id}: not run again: {line(one.message)}")
    output.say(f"{len(done.data)} run again" + (", there may be more" if done.next_cursor else ""))


@app.command("rm")
def remove(context: typer.Context, run_ids: RunIds, as_json: AsJson = False) -> None:
    """Delete runs that have ended, with their prompts, answers and events."""
    here = command_context(context)
    with here.service() as service:
        for run_id in run_ids:
            gone = service.delete(Deleted, f"{RUNS}/{whole_id(service, run_id)}")
            here.output.json(gone) if as_json else here.output.say(f"{gone.id}: deleted")
