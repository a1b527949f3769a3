"""`GET /v1/admin/audit`: the operations of operators."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from api.http.auth import Authenticator, Scope
from api.http.endpoint import Endpoint, ResponseOf
from api.http.json_response import json_response
from api.http.parameters import Number
from shared.ledger.audit import Audit
from shared.ledger.operations import AuditAction
from shared.ledger.operator_views import AuditEntryView, AuditView
from shared.redis.keys import AUDIT_LENGTH

_ACTIONS = ", ".join(f"`{action}`" for action in AuditAction)

LIMIT = Number("limit", "Most entries.", default=100, least=1, most=AUDIT_LENGTH)


@dataclass(frozen=True)
class AdminAudit:
    authenticator: Authenticator
    audit: Audit

    @Endpoint(
        "GET",
        "/v1/admin/audit",
        "listAudit",
        "List what operators did, newest first.",
        {200: ResponseOf(AuditView, f"The entries. `act` is {_ACTIONS}, or an action of a later release.")},
        parameters=(LIMIT,),
        scope=Scope.MONITOR,
    )
    async def show(self, request: Request) -> Response:
        self.authenticator.authenticate(request.headers, Scope.MONITOR)
        return json_response(await self.view(LIMIT.of(request)))

    async def view(self, most: int) -> AuditView:
        """At most `most` entries, newest first. Raises Unavailable."""
        records = await self.audit.latest(most)
        return AuditView(data=[AuditEntryView(at_ms=record.at_ms, **record.entry.model_dump()) for record in records])
