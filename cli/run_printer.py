"""Prints a run as its events come: its text for people, its events for programs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

from cli.cli_error import CliError, ExitCode
from cli.terminal_output import Output
from cli.text_format import line
from shared.run.events import (
    AssistantEvent,
    Cancelled,
    Completed,
    Event,
    Failed,
    Started,
    Terminal,
    ToolUse,
    assert_ongoing,
    to_json,
)
from shared.run.flat_text import FlatText


def print_run(events: Iterable[Event], output: Output, *, as_json: bool) -> None:
    """Prints the events up to the run's last. Raises CliError when the run fails or is cancelled."""
    flat, open_line = FlatText(), False
    for event in events:
        if as_json:
            output.raw(to_json(event).decode() + "\n")
        elif isinstance(event, AssistantEvent) and (text := flat.add(event.data)):
            output.raw(text)
            open_line = not text.endswith("\n")
        match event.data:
            case Started(attempt=attempt, worker=worker) if not as_json:
                output.aside(f"[attempt {attempt} on {worker}]")
            case ToolUse(phase="start", name=name) if not as_json:
                output.aside(f"[tool {line(name)}]")
            case Completed() | Failed() | Cancelled() as end:
                if open_line:
                    output.raw("\n")
                _raise_unless_completed(event.run_id, end)
            case unshown:
                assert_ongoing(unshown)


def _raise_unless_completed(run_id: str, end: Terminal) -> None:
    match end:
        case Completed():
            return
        case Failed(code=code, message=message):
            raise CliError(ExitCode.FAILED, f"Run {run_id} failed ({code}): {line(message)}")
        case Cancelled(reason=reason):
            raise CliError(ExitCode.FAILED, f"Run {run_id} was cancelled ({reason}).")
        case forgotten:
            assert_never(forgotten)
