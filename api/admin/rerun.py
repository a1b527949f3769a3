"""Runs a run again, or all runs that fit a filter."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from api.fleet.agent_directory import AgentDirectory
from api.http import api_errors
from api.http.query import CURSOR, LARGEST
from api.intake.run_access import RunAccess
from api.intake.submission import Submission
from shared.ledger.ledger import RequestIdentity, Rerun
from shared.ledger.operations import AuditAction, audit_entry
from shared.ledger.operator_views import RerunPair, RerunRefusal, RerunResult
from shared.ledger.run_index import RunFilter, RunIndex
from shared.run.clock import now_ms
from shared.run.errors import QueueFull, SessionTaken
from shared.run.run import CONTRACT, new_run_id

MOST = 100  # runs that one request runs again
PAGES = 20  # pages of the index that one request reads to find them


class RerunFilter(BaseModel):
    """Selects runs. Those that were run again before are left out, so that a repeated request makes no second run."""

    model_config = ConfigDict(extra="forbid", strict=True)

    state: Literal["failed", "cancelled", "completed"] = "failed"
    agent: str = ""
    session: str = ""
    owner: str = ""
    worker: str = ""
    code: str = Field("", description="Only runs that failed with this code, such as `worker_lost`.")
    since_ms: int | None = Field(None, ge=0, le=LARGEST, description="Accepted then or later; ms since the epoch.")
    to_ms: int | None = Field(None, ge=0, le=LARGEST, description="Accepted then or earlier; ms since the epoch.")
    limit: int = Field(MOST, ge=1, le=MOST, description="Most runs to run again.")
    cursor: str = Field("", pattern=f"^({CURSOR})$", description="`next_cursor` of an earlier answer.")

    @property
    def wanted(self) -> RunFilter:
        return RunFilter(**self.model_dump(exclude={"limit", "cursor"}))


@dataclass(frozen=True)
class Reruns:
    directory: AgentDirectory
    access: RunAccess
    submission: Submission
    index: RunIndex

    async def one(self, run_id: str, *, who: str, once: bool = False) -> str:
        """Makes a new run with the same prompt, session and owner, and returns its id.

        The new run takes its turn in the session, and goes on without readers. With `once`, a run that was run again
        before is not run again: the id is that of the earlier new run. Raises ApiError, Refused and Unavailable.
        """
        run = (await self.access.any_record(run_id)).run
        bell, _ = await self.directory.find(run.agent_id, param="run_id")
        new = run.model_copy(
            update={
                "v": CONTRACT,
                "run_id": new_run_id(),
                "created_ms": now_ms(),
                "foreground": False,
                "again_of": run_id,
                "traceparent": "",  # that trace is over
            }
        )
        again = Rerun(of=run_id, once=once, note=audit_entry(AuditAction.RETRY_RUN, run_id, who=who))
        # Its own id identifies the request, so that no retry of a client joins the new run.
        accepted = await self.submission.accept(new, bell=bell, once=RequestIdentity(new.run_id), again=again)
        return accepted.run_id

    async def all(self, chosen: RerunFilter, *, who: str) -> RerunResult:
        """Runs again the runs that fit. It reads pages of the index, newest first, and reruns those of one page in the
        order in which they were accepted."""
        done: list[RerunPair] = []
        refused: list[RerunRefusal] = []
        cursor = chosen.cursor
        for _ in range(PAGES):
            left = chosen.limit - len(done) - len(refused)
            page = await self.index.page(chosen.wanted, cursor=cursor, most=left)
            cursor = page.cursor
            rows = [row for row in await self.index.rows(page.run_ids) if not row.again]
            await self._each((row.run_id for row in reversed(rows)), who, done, refused)
            if not cursor or len(done) + len(refused) >= chosen.limit:
                break
        return RerunResult(data=done, refused=refused, next_cursor=cursor or None)

    async def _each(self, run_ids: Iterable[str], who: str, done: list[RerunPair], refused: list[RerunRefusal]) -> None:
        for run_id in run_ids:
            try:
                done.append(RerunPair(id=run_id, again=await self.one(run_id, who=who, once=True)))
            except api_errors.ApiError as failure:
                refused.append(RerunRefusal(id=run_id, code=str(failure.error.get("code")), message=str(failure)))
            except (QueueFull, SessionTaken) as refusal:
                response = api_errors.refused(refusal)
                refused.append(RerunRefusal(id=run_id, code=str(response.error["code"]), message=str(response)))
