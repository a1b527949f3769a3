"""Builds the endpoints of operators."""

from __future__ import annotations

from dataclasses import dataclass, fields

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
from api.intake.run_access import RunAccess
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


@dataclass(frozen=True)
class Admin:
    """The endpoints by subject. The pages of the monitor call the `view` of each."""

    stats: AdminStats
    runs: AdminRuns
    sessions: AdminSessions
    workers: AdminWorkers
    queue: AdminQueue
    audit: AdminAudit

    @property
    def views(self) -> tuple[object, ...]:
        return tuple(getattr(self, field.name) for field in fields(self))


def admin(
    authenticator: Authenticator,
    directory: AgentDirectory,
    access: RunAccess,
    submission: Submission,
    janitor: Janitor,
    events: EventLog,
    pipe: Pipe,
    keys: Keys,
) -> Admin:
    """`pipe` leads to the ledger."""
    index, depth = RunIndex(pipe, keys), QueueDepth(pipe, keys)
    operations, reruns = Operations(pipe, keys, events), Reruns(directory, access, submission, index)
    return Admin(
        AdminStats(authenticator, depth, index, Tallies(pipe, keys), pipe),
        AdminRuns(authenticator, access, janitor, events, index, operations, reruns),
        AdminSessions(authenticator, Lanes(pipe, keys), index),
        AdminWorkers(authenticator, Presence(pipe, keys), operations),
        AdminQueue(authenticator, depth, operations),
        AdminAudit(authenticator, Audit(pipe, keys)),
    )
