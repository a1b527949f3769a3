"""The audit: each operation of an operator, with its target and its time. The script that performs an operation also
writes its entry, so no operation goes unrecorded."""

from __future__ import annotations

from shared.redis.keys import Keys
from shared.redis.pipe import Pipe
from shared.redis.replies import texts
from shared.run.events import Value

NAMED = 40  # characters of an entry that cannot be read, for the log


class AuditEntry(Value):
    """One operation. `target` is what it changed: a run, a worker, an agent, or `*` for the whole queue."""

    who: str  # name of the operator's credential
    act: str  # an AuditAction, or an action of a later release
    target: str


class AuditRecord(Value):
    """An entry and when the script wrote it, in ms since the epoch by Redis's clock."""

    at_ms: int
    entry: AuditEntry


class Audit:
    def __init__(self, pipe: Pipe, keys: Keys) -> None:
        self._pipe = pipe
        self._keys = keys

    async def latest(self, most: int) -> list[AuditRecord]:
        """At most `most` entries, newest first. Redis keeps AUDIT_LENGTH of them."""
        lines = texts(await self._pipe.command("LRANGE", self._keys.audit, 0, most - 1))
        return self._pipe.unreadables.readable("audit", ((line[:NAMED], line) for line in lines), _record)


def _record(line: str) -> AuditRecord:
    at, _, entry = line.partition(" ")
    return AuditRecord(at_ms=int(at), entry=AuditEntry.model_validate_json(entry))
