"""What those can do who operate the service, as the document has it: a row for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from openapi_pydantic import DataType, Operation, Parameter, PathItem, Response, Schema
from pydantic import BaseModel

from api.admin import admin_runs as admin_runs
from api.admin import admin_sessions
from api.admin.admin_queue import WhichAgent
from api.admin.rerun import RerunFilter
from api.http.auth import Scope
from api.openapi.parts import (
    CURSOR,
    NUMBER,
    RUN_ID,
    STATE,
    answer,
    answers,
    body,
    count,
    events,
    header,
    in_path,
    query,
)
from api.openapi.runs import EVENTS, NOTHING_LEFT
from shared.ledger.operator_views import (
    AdminRunDetail,
    AdminRunList,
    AuditView,
    Deleted,
    QueueView,
    RerunResult,
    SessionsView,
    StatsView,
    WorkersView,
)
from shared.ledger.tallies import Window
from shared.redis.keys import AUDIT_LENGTH

_WORKER = in_path("worker", "`name` of the worker.")
_TIME = Schema(type=DataType.INTEGER, minimum=0, maximum=2**53)
_WINDOW = Schema(type=DataType.STRING, enum=[window.value for window in Window], default=Window.HOUR.value)
_RUN_FILTERS = (
    query("id", "How the run's id begins, with or without `chatcmpl_`."),
    query("state", "Only runs in this state.", STATE),
    query("agent", "Only runs of this agent."),
    query("session", "Only runs of this session."),
    query("owner", "Only runs of this credential."),
    query("worker", "Only runs that this worker took last."),
    query("code", "Only runs that failed for this reason, such as `worker_lost`."),
    query("since_ms", "Accepted no earlier; ms since the epoch.", _TIME),
    query("to_ms", "Accepted no later.", _TIME),
)


@dataclass(frozen=True)
class _Row:
    method: Literal["get", "post", "delete"]
    path: str  # behind /v1/admin
    name: str
    summary: str
    scope: Scope
    good: dict[int, Response]
    problems: tuple[int, ...] = ()
    parameters: Sequence[Parameter] = ()
    asks: type[BaseModel] | None = None

    @property
    def operation(self) -> Operation:
        return Operation(
            operationId=self.name,
            summary=self.summary,
            description=f"Needs the scope `{self.scope}`.",
            tags=["admin"],
            parameters=list(self.parameters) or None,
            requestBody=body(self.asks, required=False) if self.asks else None,
            responses=answers(self.good, *self.problems),
        )


_BODY = (400, 408, 413)

_ROWS = (
    _Row(
        "get",
        "/stats",
        "showStats",
        "How the whole service is, now and over time.",
        Scope.MONITOR,
        {200: answer(StatsView, "The figures.")},
        (400,),
        [query("window", "The last hour by the minute, or the last day by quarters of an hour.", _WINDOW)],
    ),
    _Row(
        "get",
        "/runs",
        "searchRuns",
        "Every run, newest first. A page may be short when very many were looked at for it.",
        Scope.MONITOR,
        {200: answer(AdminRunList, "A page of runs.")},
        (400,),
        [
            *_RUN_FILTERS,
            query("limit", "Most runs of one page.", count(default=50, most=admin_runs.MOST_PER_PAGE)),
            CURSOR,
        ],
    ),
    _Row(
        "get",
        "/runs/{run_id}",
        "inspectRun",
        "A run with what was asked and said, its steps, and what operators alone get to know of its failure.",
        Scope.MONITOR,
        {200: answer(AdminRunDetail, "The run.")},
        (404,),
        [RUN_ID],
    ),
    _Row(
        "get",
        "/runs/{run_id}/events",
        "observeRun",
        "The events of any run. Whoever follows them here is no reader that the run would go on for.",
        Scope.MONITOR,
        {200: events(EVENTS), 204: NOTHING_LEFT},
        (400, 404),
        [
            RUN_ID,
            query("after", "Number of the last event that came.", NUMBER),
            header("Last-Event-ID", "The same.", NUMBER),
        ],
    ),
    _Row(
        "post",
        "/runs/{run_id}/cancel",
        "cancelAnyRun",
        "Stop a run and every process of it.",
        Scope.OPERATE,
        {200: answer(AdminRunDetail, "It had ended already."), 202: answer(AdminRunDetail, "It ends in a moment.")},
        (404,),
        [RUN_ID],
    ),
    _Row(
        "post",
        "/runs/{run_id}/retry",
        "retryRun",
        "Make a new run that asks for the same, for the same owner and in its turn in the same session.",
        Scope.OPERATE,
        {202: answer(AdminRunDetail, "The new run.")},
        (404, 409, 429),
        [RUN_ID],
    ),
    _Row(
        "post",
        "/runs/retry",
        "retryRuns",
        "The same for all runs that fit, a hundred at most. Those that were run again before are left out.",
        Scope.OPERATE,
        {202: answer(RerunResult, "Which runs were run again, and which were not.")},
        _BODY,
        asks=RerunFilter,
    ),
    _Row(
        "delete",
        "/runs/{run_id}",
        "deleteRun",
        "Forget a run that has ended, and all that was said in it.",
        Scope.OPERATE,
        {200: answer(Deleted, "It is gone.")},
        (404, 409),
        [RUN_ID],
    ),
    _Row(
        "get",
        "/sessions",
        "listSessions",
        "Sessions that have something to do, the longest lanes first.",
        Scope.MONITOR,
        {200: answer(SessionsView, "The sessions.")},
        (400,),
        [query("limit", "Most sessions.", count(default=50, most=admin_sessions.MOST))],
    ),
    _Row(
        "get",
        "/workers",
        "listWorkers",
        "The processes of the service.",
        Scope.MONITOR,
        {200: answer(WorkersView, "The processes.")},
    ),
    _Row(
        "post",
        "/workers/{worker}/drain",
        "drainWorker",
        "Have a worker finish what it has and take nothing more, until it is resumed or started anew.",
        Scope.OPERATE,
        {202: answer(WorkersView, "It does so in a moment.")},
        (404,),
        [_WORKER],
    ),
    _Row(
        "post",
        "/workers/{worker}/resume",
        "resumeWorker",
        "Have it take runs again.",
        Scope.OPERATE,
        {202: answer(WorkersView, "It does so in a moment.")},
        (404,),
        [_WORKER],
    ),
    _Row(
        "get",
        "/queue",
        "showQueue",
        "What waits, by agent, and what is paused.",
        Scope.MONITOR,
        {200: answer(QueueView, "The queue.")},
    ),
    _Row(
        "post",
        "/queue/pause",
        "pauseQueue",
        "Start no more runs, of an agent or at all. What runs goes on; what waits is not ended by the time it waits.",
        Scope.OPERATE,
        {200: answer(QueueView, "The queue by now.")},
        (*_BODY, 409),
        asks=WhichAgent,
    ),
    _Row(
        "post",
        "/queue/resume",
        "resumeQueue",
        "Start them again, in their old order.",
        Scope.OPERATE,
        {200: answer(QueueView, "The queue by now.")},
        _BODY,
        asks=WhichAgent,
    ),
    _Row(
        "get",
        "/audit",
        "listAudit",
        "What operators did, newest first.",
        Scope.MONITOR,
        {200: answer(AuditView, "Their deeds.")},
        (400,),
        [query("limit", "Most of them.", count(default=100, most=AUDIT_LENGTH))],
    ),
)


def paths() -> dict[str, PathItem]:
    items: dict[str, PathItem] = {}
    for row in _ROWS:
        item = items.setdefault(f"/v1/admin{row.path}", PathItem())
        setattr(item, row.method, row.operation)
    return items
