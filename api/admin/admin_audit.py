"""`GET /v1/admin/audit`: what operators did."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from api.http.auth import Authenticator, Scope
from api.http.json_response import json_response
from api.http.query import number
from shared.ledger.audit import Audit
from shared.ledger.operator_views import AuditEntryView, AuditView
from shared.redis.keys import AUDIT_LENGTH


@dataclass(frozen=True)
class AdminAudit:
    authenticator: Authenticator
    audit: Audit

    async def show(self, request: Request) -> Response:
        self.authenticator.authenticate(request.headers, Scope.MONITOR)
        most = number(request.query_params.get("limit"), "limit", default=100, least=1, most=AUDIT_LENGTH)
        return json_response(await self.view(most))

    async def view(self, most: int) -> AuditView:
        """Raises Unavailable."""
        noted = await self.audit.latest(most)
        return AuditView(data=[AuditEntryView(at_ms=one.at_ms, **one.entry.model_dump()) for one in noted])
