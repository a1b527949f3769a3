"""A run's new events as the run's page adds them: text, steps and events. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel

from api.admin.timeline import Timeline
from shared.ledger.operator_views import TimelineStep
from shared.run.events import AssistantEvent, Event, to_json
from shared.run.flat_text import FlatText


class RunUpdate(BaseModel):
    text: str
    steps: list[TimelineStep]
    raw: list[str]  # events as JSON


class RunUpdates:
    """The state of a run's page: the text and the timeline that it shows already."""

    def __init__(self) -> None:
        self._flat = FlatText()
        self._timeline = Timeline()

    def add(self, events: Sequence[Event]) -> RunUpdate:
        """What the page adds for `events`, which must be the next ones of the run."""
        return RunUpdate(
            text="".join(self._flat.add(event.data) for event in events if isinstance(event, AssistantEvent)),
            steps=list(self._timeline.add(events)),
            raw=[to_json(event).decode() for event in events],
        )
