"""The pages that show a list of the JSON API unchanged: sessions, workers, the queue, the audit."""

from __future__ import annotations

from dataclasses import dataclass

from api.admin.admin_audit import AdminAudit
from api.admin.admin_queue import AdminQueue
from api.admin.admin_sessions import AdminSessions
from api.admin.admin_workers import AdminWorkers
from api.monitor.monitor_page import PageRequest
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
    sessions: AdminSessions
    template = "sessions.html"

    async def view(self, page_request: PageRequest) -> SessionsShown:
        return SessionsShown(await self.sessions.view(SESSIONS), now_ms())

    live_view = view


@dataclass(frozen=True)
class WorkersShown:
    fleet: WorkersView
    now_ms: int


@dataclass(frozen=True)
class WorkersPage:
    workers: AdminWorkers
    template = "workers.html"

    async def view(self, page_request: PageRequest) -> WorkersShown:
        return WorkersShown(await self.workers.view(), now_ms())

    live_view = view


@dataclass(frozen=True)
class QueueShown:
    queue: QueueView
    now_ms: int


@dataclass(frozen=True)
class QueuePage:
    queue: AdminQueue
    template = "queue.html"

    async def view(self, page_request: PageRequest) -> QueueShown:
        return QueueShown(await self.queue.view(), now_ms())

    live_view = view


@dataclass(frozen=True)
class AuditShown:
    audit: AuditView
    now_ms: int


@dataclass(frozen=True)
class AuditPage:
    audit: AdminAudit
    template = "audit.html"

    async def view(self, page_request: PageRequest) -> AuditShown:
        return AuditShown(await self.audit.view(DEEDS), now_ms())

    live_view = view
