"""The routes of those who operate the service, and what stands behind them."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.routing import Route

from api.admin.again import Repeats
from api.admin.audit import AuditLog
from api.admin.queue import Queue
from api.admin.runs import AdminRuns
from api.admin.sessions import Sessions
from api.admin.stats import Stats
from api.admin.workers import Workers
from api.fleet.agent_directory import Directory
from api.http.auth import Gate
from api.intake.janitor import Janitor
from api.intake.submission import Front
from shared.ledger.audit import Audit
from shared.ledger.lanes import Lanes
from shared.ledger.operations import Operations
from shared.ledger.presence import Presence
from shared.ledger.queue_depth import QueueDepth
from shared.ledger.run_index import RunIndex
from shared.ledger.tallies import History
from shared.log.event_log import EventLog
from shared.redis.keys import Keys
from shared.redis.pipe import Pipe

LOOK_AT = 1_000  # runs whose agent is looked up for a view: it holds Redis up for some milliseconds


@dataclass(frozen=True)
class Admin:
    """The parts; each has a `view`, too, for pages that show the same."""

    runs: AdminRuns
    queue: Queue
    workers: Workers
    sessions: Sessions
    stats: Stats
    audit: AuditLog

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
    gate: Gate, directory: Directory, front: Front, janitor: Janitor, events: EventLog, pipe: Pipe, keys: Keys
) -> Admin:
    """`pipe` leads to the ledger."""
    index, depth = RunIndex(pipe, keys), QueueDepth(pipe, keys, look_at=LOOK_AT)
    operations = Operations(pipe, keys, events)
    return Admin(
        AdminRuns(gate, front, janitor, events, index, operations, Repeats(directory, front, index)),
        Queue(gate, depth, operations),
        Workers(gate, Presence(pipe, keys), operations),
        Sessions(gate, Lanes(pipe, keys), index),
        Stats(gate, depth, index, History(pipe, keys), pipe),
        AuditLog(gate, Audit(pipe, keys)),
    )
