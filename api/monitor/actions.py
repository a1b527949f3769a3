"""The actions behind the buttons of the monitor page. The JSON API has the same actions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import ValidationError
from starlette.requests import Request

from api.admin.admin_queue import which
from api.admin.admin_routes import Admin
from api.admin.rerun import RerunFilter
from api.http import api_errors
from api.monitor.run_list_pages import failed, parse_search
from shared.ledger.audit import AuditAction, audit_entry
from shared.ledger.operations import Deletion
from shared.run.errors import TooManyPauses
from shared.run.events import StopReason
from shared.run.states import ENDS

Form = Mapping[str, str]


@dataclass(frozen=True)
class ActionResult:
    """The page to which the browser goes, and the message that it shows there: a key of MESSAGES and its numbers."""

    path: str
    told: str
    count: int = 0
    refused: int = 0


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

    async def cancel(self, request: Request, form: Form, who: str) -> ActionResult:
        run_id = request.path_params["run_id"]
        state = await self.admin.runs.janitor.cancel(
            run_id, StopReason.USER, note=audit_entry(AuditAction.CANCEL_RUN, run_id, who=who)
        )
        if state is None:
            raise api_errors.run_not_found(run_id)
        return ActionResult(f"/monitor/runs/{run_id}", "ended" if state in ENDS else "cancelling")

    async def again(self, request: Request, form: Form, who: str) -> ActionResult:
        run_id = request.path_params["run_id"]
        if (await self.admin.runs.submission.any_record(run_id)).state not in ENDS:
            raise api_errors.run_not_ended(run_id)
        return ActionResult(f"/monitor/runs/{await self.admin.runs.repeats.one(run_id, who=who)}", "again")

    async def delete(self, request: Request, form: Form, who: str) -> ActionResult:
        run_id = request.path_params["run_id"]
        match await self.admin.runs.operations.delete(run_id, who=who):
            case Deletion.NO_RUN:
                raise api_errors.run_not_found(run_id)
            case Deletion.NOT_ENDED:
                raise api_errors.run_not_ended(run_id)
            case Deletion.DONE:
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
        done = await self.admin.runs.repeats.all(rerun_filter, who=who)
        message = "more" if done.next_cursor else "all"
        return ActionResult(
            f"/monitor/failed?{failed(parse_search(form)).query()}", message, len(done.data), len(done.refused)
        )

    async def drain(self, request: Request, form: Form, who: str) -> ActionResult:
        worker = request.path_params["worker"]
        return _ordered(worker, await self.admin.workers.operations.drain(worker, who=who), "draining")

    async def serve(self, request: Request, form: Form, who: str) -> ActionResult:
        worker = request.path_params["worker"]
        return _ordered(worker, await self.admin.workers.operations.undrain(worker, who=who), "serving")

    async def pause(self, request: Request, form: Form, who: str) -> ActionResult:
        try:
            await self.admin.queue.operations.pause(which(form.get("agent") or None), who=who)
        except TooManyPauses:
            raise api_errors.too_many_pauses() from None
        return ActionResult("/monitor/queue", "paused")

    async def resume(self, request: Request, form: Form, who: str) -> ActionResult:
        await self.admin.queue.operations.resume(which(form.get("agent") or None), who=who)
        return ActionResult("/monitor/queue", "resumed")


def _ordered(worker: str, known: bool, message: str) -> ActionResult:
    if not known:
        raise api_errors.worker_not_found(worker)
    return ActionResult("/monitor/workers", message)
