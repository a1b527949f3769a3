"""The first page: the state of the whole service, and its alerts."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from api.admin.admin_queue import AdminQueue
from api.admin.admin_runs import AdminRuns
from api.admin.admin_stats import AdminStats
from api.admin.admin_workers import AdminWorkers
from api.http.query import one_of
from api.monitor.alerts import Alert, AtWork, alerts
from api.monitor.charts import Chart, build_charts
from api.monitor.monitor_page import PageRequest
from shared.ledger.operator_views import QueueView, StatsView, WorkersView
from shared.ledger.tallies import Window
from shared.log.event_log import EventLog
from shared.run.clock import now_ms

LONGEST = 5  # runs at work that are shown


@dataclass(frozen=True)
class OverviewView:
    stats: StatsView
    workers: WorkersView
    queue: QueueView
    longest: tuple[AtWork, ...]
    alerts: tuple[Alert, ...]
    plots: tuple[Chart, ...]
    window: Window


@dataclass(frozen=True)
class Overview:
    stats: AdminStats
    workers: AdminWorkers
    queue: AdminQueue
    runs: AdminRuns
    events: EventLog

    template = "overview.html"

    async def view(self, page_request: PageRequest) -> OverviewView:
        window = Window(one_of(page_request.query.get("window"), "window", Window) or Window.HOUR)
        stats, workers, queue, longest = await asyncio.gather(
            self.stats.view(window), self.workers.view(), self.queue.view(), self._longest()
        )
        found = alerts(stats, workers, queue, longest)
        return OverviewView(stats, workers, queue, longest, found, build_charts(stats.series), window)

    live_view = view

    async def _longest(self) -> tuple[AtWork, ...]:
        """Of the runs at work, those that were accepted first."""
        rows = await self.runs.at_work(LONGEST)
        lasts = await asyncio.gather(*(self.events.last(row.id) for row in rows))
        now = now_ms()
        return tuple(
            AtWork(row, max(0, now - (row.started_ms or now)), max(0, now - (last.ts if last else now)))
            for row, last in zip(rows, lasts, strict=True)
        )
