"""The pages that show a list of the JSON API as it is: sessions, workers, the queue, the audit."""

from __future__ import annotations

from dataclasses import dataclass

from api.admin.audit import AuditLog
from api.admin.queue import Queue
from api.admin.sessions import Sessions
from api.admin.workers import Workers
from api.monitor.page import Asked
from shared.ledger.operator_views import AuditView, QueueView, SessionsView, WorkersView
from shared.run.clock import now_ms

SESSIONS = 100
DEEDS = 200


@dataclass(frozen=True)
class SessionsShown:
    sessions: SessionsView
    now_ms: int


@dataclass(frozen=True)
class SessionsPage:
    sessions: Sessions
    template = "sessions.html"

    async def view(self, asked: Asked) -> SessionsShown:
        return SessionsShown(await self.sessions.view(SESSIONS), now_ms())

    glance = view


@dataclass(frozen=True)
class WorkersShown:
    fleet: WorkersView
    now_ms: int


@dataclass(frozen=True)
class WorkersPage:
    workers: Workers
    template = "workers.html"

    async def view(self, asked: Asked) -> WorkersShown:
        return WorkersShown(await self.workers.view(), now_ms())

    glance = view


@dataclass(frozen=True)
class QueueShown:
    queue: QueueView
    now_ms: int


@dataclass(frozen=True)
class QueuePage:
    queue: Queue
    template = "queue.html"

    async def view(self, asked: Asked) -> QueueShown:
        return QueueShown(await self.queue.view(), now_ms())

    glance = view


@dataclass(frozen=True)
class AuditShown:
    audit: AuditView
    now_ms: int


@dataclass(frozen=True)
class AuditPage:
    audit: AuditLog
    template = "audit.html"

    async def view(self, asked: Asked) -> AuditShown:
        return AuditShown(await self.audit.view(DEEDS), now_ms())

    glance = view
