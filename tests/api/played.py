"""A run whose events a test makes up."""

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


def played(*said: EventData) -> list[Event]:
    """These things in the run's log, numbered from 1."""
    place = {"run_id": RUN.run_id, "session_key": RUN.session_key}
    return [make_event(one, **place, attempt=1, seq=seq, ts=seq) for seq, one in enumerate(said, 1)]


def spoken(*texts: str) -> list[Event]:
    """A run that says these deltas of one message, and completes."""
    return played(*(Delta(delta=text) for text in texts), Completed())
