"""A run, and events that a test makes up for it."""

from __future__ import annotations

from shared.run.events import Completed, Delta, Event, EventData, make_event
from shared.run.run import Run

RUN = Run(
    run_id="chatcmpl_1",
    agent_id="main",
    session_key="agent:main:openai:1",
    owner="alice",
    model='a "b"',
    message="Hi",
    created_ms=1_700_000_000_999,
)


def played(*data: EventData) -> list[Event]:
    """The run's events with these data, numbered from 1."""
    place = {"run_id": RUN.run_id, "session_key": RUN.session_key}
    return [make_event(one, **place, attempt=1, seq=seq, ts=seq) for seq, one in enumerate(data, 1)]


def spoken(*texts: str) -> list[Event]:
    """The events of a run that emits these deltas of one message and completes."""
    return played(*(Delta(delta=text) for text in texts), Completed())
