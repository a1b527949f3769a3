"""The routes of those who operate the service, and what stands behind them."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.routing import Route

from api.admin.admin_audit import AdminAudit
from api.admin.admin_queue import AdminQueue
from api.admin.admin_runs import AdminRuns
from api.admin.admin_sessions import AdminSessions
from api.admin.admin_stats import AdminStats
from api.admin.admin_workers import AdminWorkers
from api.admin.rerun import Reruns
from api.fleet.agent_directory import AgentDirectory
from api.http.auth import Authenticator
from api.intake.janitor import Janitor
from api.intake.submission import Submission
from shared.ledger.audit import Audit
from shared.ledger.lanes import Lanes
from shared.ledger.operations import Operations
from shared.ledger.presence import Presence
from shared.ledger.queue_depth import QueueDepth
from shared.ledger.run_index import RunIndex
from shared.ledger.tallies import Tallies
from shared.log.event_log import EventLog
from shared.redis.keys import Keys
from shared.redis.pipe import Pipe

LOOK_AT = 1_000  # runs whose agent is looked up for a view: it holds Redis up for some milliseconds


@dataclass(frozen=True)
class Admin:
    """The parts; each has a `view`, too, for pages that show the same."""

    runs: AdminRuns
    queue: AdminQueue
    workers: AdminWorkers
    sessions: AdminSessions
    stats: AdminStats
    audit: AdminAudit

    @property
    def routes(self) -> list[Route]:
        runs, queue, workers = self.runs, self.queue, self.workers
        return [
            Route("/v1/admin/stats", self.stats.show, methods=["GET"]),
            Route("/v1/admin/runs", runs.search, methods=["GET"]),
            Route("/v1/admin/runs/retry", runs.retry_all, methods=["POST"]),
            Route("/v1/admin/runs/{run_id}", runs.show, methods=["GET"]),
            Route("/v1/admin/runs/{run_id}", runs.delete, methods=["DELETE"]),
            Route("/v1/admin/runs/{run_id}/events", runs.follow, methods=["GET"]),
            Route("/v1/admin/runs/{run_id}/cancel", runs.cancel, methods=["POST"]),
            Route("/v1/admin/runs/{run_id}/retry", runs.retry, methods=["POST"]),
            Route("/v1/admin/sessions", self.sessions.show, methods=["GET"]),
            Route("/v1/admin/workers", workers.show, methods=["GET"]),
            Route("/v1/admin/workers/{worker}/drain", workers.drain, methods=["POST"]),
            Route("/v1/admin/workers/{worker}/resume", workers.resume, methods=["POST"]),
            Route("/v1/admin/queue", queue.show, methods=["GET"]),
            Route("/v1/admin/queue/pause", queue.pause, methods=["POST"]),
            Route("/v1/admin/queue/resume", queue.resume, methods=["POST"]),
            Route("/v1/admin/audit", self.audit.show, methods=["GET"]),
        ]


def admin(
    authenticator: Authenticator,
    directory: AgentDirectory,
    submission: Submission,
    janitor: Janitor,
    events: EventLog,
    pipe: Pipe,
    keys: Keys,
) -> Admin:
    """`pipe` leads to the ledger."""
    index, depth = RunIndex(pipe, keys), QueueDepth(pipe, keys, look_at=LOOK_AT)
    operations = Operations(pipe, keys, events)
    return Admin(
        AdminRuns(authenticator, submission, janitor, events, index, operations, Reruns(directory, submission, index)),
        AdminQueue(authenticator, depth, operations),
        AdminWorkers(authenticator, Presence(pipe, keys), operations),
        AdminSessions(authenticator, Lanes(pipe, keys), index),
        AdminStats(authenticator, depth, index, Tallies(pipe, keys), pipe),
        AdminAudit(authenticator, Audit(pipe, keys)),
    )
