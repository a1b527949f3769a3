"""What operators did: who, what, to what, when. Written by the script that does it, so that nothing is done unseen."""

from __future__ import annotations

from enum import StrEnum

from shared.redis.keys import Keys
from shared.redis.pipe import Pipe
from shared.redis.replies import texts
from shared.run.events import Value


class AuditAction(StrEnum):
    PAUSE_QUEUE = "queue.pause"
    RESUME_QUEUE = "queue.resume"
    DRAIN_WORKER = "worker.drain"
    RESUME_WORKER = "worker.resume"
    CANCEL_RUN = "run.cancel"
    RETRY_RUN = "run.retry"
    DELETE_RUN = "run.delete"


class AuditEntry(Value):
    """`target` is what the act was done to: a run, a worker, an agent, or `*` for the whole queue."""

    who: str  # name of the credential
    act: str  # an Act, or one that a later release knows
    target: str


def audit_entry(act: AuditAction, target: str, *, who: str) -> str:
    """The entry as the scripts take it."""
    return AuditEntry(who=who, act=act, target=target).model_dump_json(by_alias=True)


class AuditRecord(Value):
    """An entry and when it was made, in ms since the epoch by Redis's clock."""

    at_ms: int
    entry: AuditEntry


class Audit:
    def __init__(self, pipe: Pipe, keys: Keys) -> None:
        self._pipe = pipe
        self._keys = keys

    async def latest(self, most: int) -> list[AuditRecord]:
        """Newest first; AUDIT_LENGTH are kept."""
        lines = texts(await self._pipe.command("LRANGE", self._keys.audit, 0, most - 1))
        return [_noted(line) for line in lines]


def _noted(line: str) -> AuditRecord:
    at, _, entry = line.partition(" ")
    return AuditRecord(at_ms=int(at), entry=AuditEntry.model_validate_json(entry))
