"""`runrelay top`: shows the whole service on one screen, live."""

from __future__ import annotations

import time
from typing import Annotated

import typer
from pydantic import BaseModel
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from cli.api_client import ApiClient
from cli.cli_error import CliError, ExitCode
from cli.command_context import AsJson, command_context
from cli.commands import queue_commands, workers_commands
from cli.terminal_output import Output, table
from cli.text_format import duration, size
from shared.ledger.operator_views import AdminRunList, AdminRunView, QueueView, StatsView, WorkersView

RUNS = 12  # of each kind on the screen


class Snapshot(BaseModel):
    stats: StatsView
    queue: QueueView
    workers: WorkersView
    running: list[AdminRunView]
    waiting: list[AdminRunView]


def top(
    context: typer.Context,
    interval: Annotated[float, typer.Option(min=0.2, help="Seconds between two updates.")] = 1.0,
    as_json: AsJson = False,
) -> None:
    """Show the whole service on one screen, until Ctrl-C. Into a pipe, and with --json: once."""
    here = command_context(context)
    with here.service() as service:
        if as_json:
            here.output.json(_snapshot(service))
        elif here.output.screen.is_terminal:
            _live(service, here.output, interval)
        else:
            here.output.show(drawn(service.url, _snapshot(service), here.output.screen.width))


def _live(service: ApiClient, output: Output, interval: float) -> None:
    # The first snapshot is taken outside the live screen, so that the command can fail with a line and an exit code.
    shown: RenderableType = drawn(service.url, _snapshot(service), output.screen.width)
    try:
        with Live(shown, console=output.screen, screen=True, auto_refresh=False) as screen:
            while True:
                time.sleep(interval)
                try:
                    shown = drawn(service.url, _snapshot(service), output.screen.width)
                except CliError as error:
                    if error.code is not ExitCode.UNREACHABLE:
                        raise
                    shown = Text(f"{error}", style="red")
                screen.update(shown, refresh=True)
    except KeyboardInterrupt:
        return


def _snapshot(service: ApiClient) -> Snapshot:
    def runs(state: str) -> list[AdminRunView]:
        return service.get(AdminRunList, "/v1/admin/runs", {"state": state, "limit": RUNS}).data

    return Snapshot(
        stats=service.get(StatsView, "/v1/admin/stats"),
        queue=service.get(QueueView, queue_commands.QUEUE),
        workers=service.get(WorkersView, workers_commands.WORKERS),
        running=runs("running"),
        waiting=runs("queued"),
    )


def drawn(url: str, seen: Snapshot, width: int) -> RenderableType:
    title = Text(f"runrelay {url}  {time.strftime('%H:%M:%S')}", style="bold")
    parts = [
        table(queue_commands.COLUMNS, queue_commands.queue_rows(seen.queue), width),
        table(workers_commands.COLUMNS, workers_commands.worker_rows(seen.workers), width),
        table(("RUN", "STATE", "AGENT", "AGE", "WAIT", "WORKER", "SESSION"), _rows(seen), width),
    ]
    return Group(title, *_head(seen), *(line for part in parts for line in (Text(), part)))


def _rows(seen: Snapshot) -> list[tuple[str, ...]]:
    now = time.time() * 1000
    return [
        (
            row.id,
            row.state.value,
            row.agent,
            duration(max(0, now - row.queued_ms)),
            duration(row.wait_ms),
            row.worker or "-",
            row.session,
        )
        for row in (*seen.running, *seen.waiting)
    ]


def _head(seen: Snapshot) -> list[Text]:
    now, redis, last = seen.stats.now, seen.stats.redis, seen.stats.series[-2:]
    rate = sum(span.completed + span.failed + span.cancelled for span in last) / max(1, len(last))
    wait = next((span for span in reversed(last) if span.wait_p95_ms is not None), None)
    lines = [
        f"running {now.running}  waiting {now.waiting}  held {now.held}  in line {now.in_line}"
        f"  oldest wait {duration(now.oldest_wait_ms) if now.waiting else '-'}",
        f"completed {now.completed}  failed {now.failed}  cancelled {now.cancelled}  ended per minute {rate:g}"
        f"  wait p50 {duration(wait.wait_p50_ms) if wait else '-'}  p95 {duration(wait.wait_p95_ms) if wait else '-'}"
        f"  deltas/s {max((span.deltas_per_second for span in last), default=0):g}",
        f"{redis.version or 'Redis'}  memory {size(redis.memory_bytes)}  clients {redis.clients or '-'}"
        f"  round trip {duration(redis.round_trip_ms)}",
    ]
    if seen.queue.paused:
        lines.insert(0, f"PAUSED by {seen.queue.paused.who}")
    return [Text(text) for text in lines]
