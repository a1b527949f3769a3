"""The actions behind the buttons of the monitor page. The JSON API has the same actions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from pydantic import ValidationError
from starlette.requests import Request

from api.admin.admin_routes import Admin
from api.admin.admin_workers import WORKER
from api.admin.rerun import RerunFilter
from api.http import api_errors
from api.intake.run_parameters import RUN_ID
from api.monitor.run_list_pages import failed, parse_search


@dataclass(frozen=True)
class ActionResult:
    """The page to which the browser goes, and the message that it shows there: a key of MESSAGES and its numbers."""

    path: str
    told: str
    count: int = 0
    refused: int = 0


Form = Mapping[str, str]
Act = Callable[[Request, Form, str], Awaitable[ActionResult]]  # the name of the operator's credential comes last

MESSAGES = {
    "cancelling": "The run was asked to stop.",
    "ended": "The run had ended already.",
    "again": "This run does it again.",
    "deleted": "The run and all that was said in it were deleted.",
    "draining": "The worker takes no more runs. Those that it has go on.",
    "serving": "The worker takes runs again.",
    "paused": "Paused. Runs at work go on; those that wait do so until the resume.",
    "resumed": "Resumed. Runs that waited are started in their old order.",
    "all": "{count} runs were run again, {refused} could not be.",
    "more": "{count} runs were run again, {refused} could not be. There are more: run again to go on.",
}


@dataclass(frozen=True)
class Actions:
    admin: Admin

    @property
    def by_path(self) -> Mapping[str, Act]:
        """What each form does, by its address below the monitor's."""
        return {
            "/runs/{run_id}/cancel": self.cancel,
            "/runs/{run_id}/again": self.again,
            "/runs/{run_id}/delete": self.delete,
            "/failed/again": self.all_again,
            "/workers/{worker}/drain": self.drain,
            "/workers/{worker}/resume": self.serve,
            "/queue/pause": self.pause,
            "/queue/resume": self.resume,
        }

    async def cancel(self, request: Request, form: Form, who: str) -> ActionResult:
        run_id = RUN_ID.of(request)
        ended = await self.admin.runs.cancel_run(run_id, who=who)
        return ActionResult(f"/monitor/runs/{run_id}", "ended" if ended else "cancelling")

    async def again(self, request: Request, form: Form, who: str) -> ActionResult:
        return ActionResult(f"/monitor/runs/{await self.admin.runs.retry_run(RUN_ID.of(request), who=who)}", "again")

    async def delete(self, request: Request, form: Form, who: str) -> ActionResult:
        await self.admin.runs.delete_run(RUN_ID.of(request), who=who)
        return ActionResult("/monitor/runs", "deleted")

    async def all_again(self, request: Request, form: Form, who: str) -> ActionResult:
        """Runs again the failed runs that fit the filter, a hundred at a time. The next request leaves out those that
        were run again."""
        wanted = failed(parse_search(form)).wanted
        try:
            rerun_filter = RerunFilter(
                agent=wanted.agent,
                session=wanted.session,
                owner=wanted.owner,
                worker=wanted.worker,
                code=wanted.code,
                since_ms=wanted.since_ms,
                to_ms=wanted.to_ms,
            )
        except ValidationError as wrong:
            raise api_errors.invalid_value("filter", wrong.errors()[0]["msg"]) from None
        done = await self.admin.runs.reruns.all(rerun_filter, who=who)
        message = "more" if done.next_cursor else "all"
        return ActionResult(
            f"/monitor/failed?{failed(parse_search(form)).query()}", message, len(done.data), len(done.refused)
        )

    async def drain(self, request: Request, form: Form, who: str) -> ActionResult:
        await self.admin.workers.drain_worker(WORKER.of(request), who=who)
        return ActionResult("/monitor/workers", "draining")

    async def serve(self, request: Request, form: Form, who: str) -> ActionResult:
        await self.admin.workers.resume_worker(WORKER.of(request), who=who)
        return ActionResult("/monitor/workers", "serving")

    async def pause(self, request: Request, form: Form, who: str) -> ActionResult:
        await self.admin.queue.pause_agent(form.get("agent") or None, who=who)
        return ActionResult("/monitor/queue", "paused")

    async def resume(self, request: Request, form: Form, who: str) -> ActionResult:
        await self.admin.queue.resume_agent(form.get("agent") or None, who=who)
        return ActionResult("/monitor/queue", "resumed")
