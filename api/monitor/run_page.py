"""The page of one run: its request, its answer, its timeline, and the actions that an operator has."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from api.admin.admin_runs import AdminRuns
from api.monitor.monitor_page import PageRequest
from shared.ledger.operator_views import AdminRunDetail, TimelineStep
from shared.log.event_log import EventLog
from shared.run.clock import now_ms
from shared.run.events import Event, to_json
from shared.run.states import ENDS

RAW = 200  # events that the page shows as JSON
TEXT = 100_000  # characters of text that the page shows


@dataclass(frozen=True)
class TimelineEntry:
    """A step, and the time from the run's queueing to it."""

    step: TimelineStep
    after_ms: int


@dataclass(frozen=True)
class RunPageView:
    run: AdminRunDetail
    moments: tuple[TimelineEntry, ...]
    raw: tuple[str, ...]  # the last events as JSON, oldest first
    text: str  # the last TEXT characters of the run's text
    cut: int  # characters that are left out before them
    now_ms: int

    @property
    def ended(self) -> bool:
        return self.run.state in ENDS


@dataclass(frozen=True)
class RunDetailPage:
    runs: AdminRuns
    events: EventLog
    template = "run.html"

    async def view(self, page_request: PageRequest) -> RunPageView:
        run = await self.runs.detail(page_request.target)
        raw = await self.events.read(run.id, max(0, run.last_event - RAW), most=RAW)
        shown = [event for event in raw if event.seq <= run.last_event]  # the page's stream brings the later ones
        return _view(run, shown)

    async def live_view(self, page_request: PageRequest) -> RunPageView:
        return _view(await self.runs.detail(page_request.target, with_log=False), [])


def _view(run: AdminRunDetail, raw: Iterable[Event]) -> RunPageView:
    lines = tuple(to_json(event).decode() for event in raw)
    return RunPageView(
        run,
        timeline_entries(run.timeline, run.queued_ms),
        lines,
        run.text[-TEXT:],
        max(0, len(run.text) - TEXT),
        now_ms(),
    )


def timeline_entries(steps: Iterable[TimelineStep], queued_ms: int) -> tuple[TimelineEntry, ...]:
    return tuple(TimelineEntry(step, max(0, step.at_ms - queued_ms)) for step in steps)
