"""An event log that counts what is written to it."""

from __future__ import annotations

from collections.abc import Sequence

from shared.log.event_log import EventLog, Head
from shared.run.events import AssistantEvent, Event


class CountedLog(EventLog):
    """`deltas` have been written, of all runs of this worker."""

    deltas = 0

    async def append(self, events: Sequence[Event], head: Head) -> None:
        await super().append(events, head)
        self.deltas += sum(isinstance(event, AssistantEvent) for event in events)
