"""An event log that counts the deltas written to it."""

from __future__ import annotations

from collections.abc import Sequence

from shared.log.event_log import EventLog, Head
from shared.run.events import AssistantEvent, Event


class CountingLog(EventLog):
    """`deltas` is the number of deltas that this worker has written, of all its runs."""

    deltas = 0

    async def append(self, events: Sequence[Event], head: Head) -> None:
        await super().append(events, head)
        self.deltas += sum(isinstance(event, AssistantEvent) for event in events)
