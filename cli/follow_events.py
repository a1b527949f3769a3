"""Follows a run to its end, across lost connections and restarts of the service.

httpx2 reads the stream, and this file continues it where it broke off: httpx2, httpx-sse and openai do not connect
again. stamina counts its time limit from the first attempt; here the limit starts again with each event.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

import httpx2
from pydantic import ValidationError

from cli.api_client import ApiClient
from cli.cli_error import CliError, ExitCode
from shared.run.events import Event, from_json, is_terminal

PATIENCE_SECONDS = 60.0  # without any event and without a connection
PAUSE_SECONDS = 0.5


def follow_events(
    service: ApiClient,
    path: str,
    *,
    pause: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Event]:
    """Yields the run's events, each once, up to its last. Raises CliError when they cannot be read."""
    after, give_up = 0, clock() + PATIENCE_SECONDS
    while True:
        try:
            with service.events(path, after) as events:
                for event in _events(events):
                    if event.seq <= after:
                        continue
                    after, give_up = event.seq, clock() + PATIENCE_SECONDS
                    yield event
                    if is_terminal(event):
                        return
            why = "the stream ended"
        except (httpx2.TransportError, CliError) as lost:
            if isinstance(lost, CliError) and lost.code is not ExitCode.UNREACHABLE:
                raise
            why = str(lost) or type(lost).__name__
        if clock() > give_up:
            raise CliError(ExitCode.UNREACHABLE, f"The run cannot be followed any more: {why}")
        pause(PAUSE_SECONDS)


def _events(sent: Iterator[httpx2.ServerSentEvent]) -> Iterator[Event]:
    for message in sent:
        if message.event == "error":  # an error of the stream, and not of the run
            raise _ended(message.data)
        try:
            yield from_json(message.data)
        except ValidationError:
            raise httpx2.RemoteProtocolError("an event was cut off") from None


def _ended(data: str) -> CliError:
    error = json.loads(data)["error"]
    code = ExitCode.UNREACHABLE if error.get("code") == "server_restarting" else ExitCode.REFUSED
    return CliError(code, str(error["message"]))
