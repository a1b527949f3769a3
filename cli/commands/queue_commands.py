"""`runrelay queue`: prints what waits, pauses and resumes the queue."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from cli.command_context import AsJson, command_context
from cli.terminal_output import Output
from cli.text_format import duration
from shared.ledger.operator_views import PauseView, QueueView, WorkersView
from shared.ledger.presence import ANY

app = typer.Typer(no_args_is_help=True, help="What waits; pause and resume.")

QUEUE, WORKERS = "/v1/admin/queue", "/v1/admin/workers"

Which = Annotated[str | None, typer.Argument(help="An agent; without one the whole queue.")]


@app.command()
def stats(context: typer.Context, as_json: AsJson = False) -> None:
    """What waits and what runs, by agent, and what is paused."""
    here = command_context(context)
    with here.service() as service:
        queue = service.get(QueueView, QUEUE)
    here.output.json(queue) if as_json else _print(here.output, queue)


@app.command()
def pause(context: typer.Context, agent: Which = None, as_json: AsJson = False) -> None:
    """Start no more runs. Runs at work go on; waiting runs stay, and no time limit ends them."""
    _post(context, "pause", agent, as_json)


@app.command()
def resume(context: typer.Context, agent: Which = None, as_json: AsJson = False) -> None:
    """Start runs again, in their old order."""
    _post(context, "resume", agent, as_json)


def _post(context: typer.Context, action: str, agent: str | None, as_json: bool) -> None:
    here = command_context(context)
    with here.service() as service:
        if agent and action == "resume" and agent not in _paused_agents(service.get(QueueView, QUEUE)):
            here.output.remark(f"{agent} was not paused.")
        queue = service.post(QueueView, f"{QUEUE}/{action}", {"agent": agent} if agent else {})
        if agent and action == "pause" and not _is_served(service.get(WorkersView, WORKERS), agent):
            here.output.remark(f"No worker serves {agent} now. It is paused nevertheless, for workers that come later.")
    here.output.json(queue) if as_json else _print(here.output, queue)


def _paused_agents(queue: QueueView) -> set[str]:
    return {one.agent for one in queue.agents if one.paused}


def _is_served(workers: WorkersView, agent: str) -> bool:
    return any({agent, ANY} & set(worker.agents) for worker in workers.workers)


COLUMNS = ("AGENT", "WAITING", "HELD", "IN LINE", "RUNNING", "OLDEST WAIT", "PAUSED")


def queue_rows(queue: QueueView) -> list[tuple[str, ...]]:
    """A row for each agent, and one for the whole queue."""
    named = [(agent.agent, agent, agent.paused) for agent in queue.agents]
    return [
        (
            name,
            str(load.waiting),
            str(load.held),
            str(load.in_line),
            str(load.running),
            duration(load.oldest_wait_ms) if load.waiting else "-",
            _paused(paused),
        )
        for name, load, paused in [*named, ("(all)", queue, queue.paused)]
    ]


def _paused(pause: PauseView | None) -> str:
    return f"{duration(max(0, time.time() * 1000 - pause.since_ms))} ago by {pause.who}" if pause else "-"


def _print(output: Output, queue: QueueView) -> None:
    output.table(COLUMNS, queue_rows(queue))
