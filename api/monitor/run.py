"""One run: what was asked, what came of it and when, and what can be done about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from api.admin.runs import AdminRuns
from api.monitor.page import Asked
from shared.ledger.operator_views import Step, Whole
from shared.log.event_log import EventLog
from shared.run.clock import now_ms
from shared.run.events import Event, to_json
from shared.run.states import ENDS

RAW = 200  # events that are shown as they are
TEXT = 100_000  # characters of text that are shown


@dataclass(frozen=True)
class Moment:
    """A step, and how long after the run was queued."""

    step: Step
    after_ms: int


@dataclass(frozen=True)
class RunView:
    run: Whole
    moments: tuple[Moment, ...]
    raw: tuple[str, ...]  # the last events as JSON, oldest first
    text: str  # the last of it
    cut: int  # characters that are left out before it
    now_ms: int

    @property
    def ended(self) -> bool:
        return self.run.state in ENDS


@dataclass(frozen=True)
class RunPage:
    runs: AdminRuns
    events: EventLog
    template = "run.html"

    async def view(self, asked: Asked) -> RunView:
        run = await self.runs.whole(asked.target)
        raw = await self.events.read(run.id, max(0, run.last_event - RAW), most=RAW)
        shown = [event for event in raw if event.seq <= run.last_event]  # the others come as they are followed
        return _view(run, shown)

    async def glance(self, asked: Asked) -> RunView:
        return _view(await self.runs.whole(asked.target, with_log=False), [])


def _view(run: Whole, raw: Iterable[Event]) -> RunView:
    lines = tuple(to_json(event).decode() for event in raw)
    return RunView(
        run, moments(run.timeline, run.queued_ms), lines, run.text[-TEXT:], max(0, len(run.text) - TEXT), now_ms()
    )


def moments(steps: Iterable[Step], queued_ms: int) -> tuple[Moment, ...]:
    return tuple(Moment(step, max(0, step.at_ms - queued_ms)) for step in steps)
