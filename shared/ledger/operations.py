"""The operations of operators on the queue, on workers and on finished runs. One script performs each operation and
writes its entry in the audit. To stop a run or run it again, operators use the ledger as clients do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum

from shared.ledger.audit import AuditEntry
from shared.ledger.ledger_script import ledger_script
from shared.ledger.presence import WorkerOrder
from shared.log.event_log import EventLog
from shared.redis.keys import Keys
from shared.redis.pipe import Pipe
from shared.redis.replies import mapping, only, text
from shared.run.errors import TooManyPauses
from shared.run.states import ENDS

AT_ONCE = 1_000  # runs whose patience one script restarts: Redis serves no other client meanwhile


class AuditAction(StrEnum):
    """The operations of operators, as the audit names them. The ledger performs those on runs."""

    PAUSE_QUEUE = "queue.pause"
    RESUME_QUEUE = "queue.resume"
    DRAIN_WORKER = "worker.drain"
    RESUME_WORKER = "worker.resume"
    CANCEL_RUN = "run.cancel"
    RETRY_RUN = "run.retry"
    DELETE_RUN = "run.delete"


def audit_entry(act: AuditAction, target: str, *, who: str) -> str:
    """The entry as JSON, the form that the scripts take."""
    return AuditEntry(who=who, act=act, target=target).model_dump_json(by_alias=True)


@dataclass(frozen=True)
class Pause:
    """A pause: when it began, in ms since the epoch by Redis's clock, and the operator who paused."""

    since_ms: int
    who: str  # name of the operator's credential


class Deletion(Enum):
    DONE = "done"
    NO_RUN = "no_run"
    NOT_ENDED = "not_ended"


class Operations:
    def __init__(self, pipe: Pipe, keys: Keys, log: EventLog) -> None:
        self._pipe = pipe
        self._keys = keys
        self._log = log
        names = ("pause", "resume", "order_worker", "delete")
        self._scripts = {name: ledger_script(name, keys) for name in names}

    async def pause(self, agent: str, *, who: str) -> None:
        """Stops workers from claiming runs of the agent, or of all agents (ALL), until an operator resumes it. Running
        runs go on.

        Waiting runs keep their places, and their queue timeout does not end them during a pause. Raises TooManyPauses.
        """
        entry = audit_entry(AuditAction.PAUSE_QUEUE, agent, who=who)
        if await self._pipe.run(self._scripts["pause"], args=(agent, who, entry)) == -1:
            raise TooManyPauses(agent)

    async def resume(self, agent: str, *, who: str) -> None:
        """Ends a pause. Workers claim the runs that waited in their old order, and each run's queue timeout starts
        again. Does nothing when there is no pause."""
        entry = audit_entry(AuditAction.RESUME_QUEUE, agent, who=who)
        place = "-inf"
        while place:
            place = text(await self._pipe.run(self._scripts["resume"], args=(agent, entry, place, AT_ONCE)))

    async def paused(self) -> dict[str, Pause]:
        """The pauses by agent id. ALL is the whole queue."""
        entries = mapping(await self._pipe.command("HGETALL", self._keys.paused))
        named = ((agent, (agent, entry)) for agent, entry in entries.items())
        return dict(self._pipe.unreadables.readable("order", named, lambda pair: (pair[0], _pause(pair[1]))))

    async def drain(self, worker: str, *, who: str) -> bool:
        """Stops the worker from claiming runs until an operator resumes it. False when there is no such worker."""
        return await self._order(worker, WorkerOrder.DRAIN, audit_entry(AuditAction.DRAIN_WORKER, worker, who=who))

    async def undrain(self, worker: str, *, who: str) -> bool:
        """Lets the worker claim runs again. False when there is no such worker."""
        return await self._order(worker, WorkerOrder.NONE, audit_entry(AuditAction.RESUME_WORKER, worker, who=who))

    async def _order(self, worker: str, order: WorkerOrder, entry: str) -> bool:
        return await self._pipe.run(self._scripts["order_worker"], args=(worker, order.value, entry)) == 1

    async def delete(self, run_id: str, *, who: str) -> Deletion:
        """Deletes a run that has ended, and its log. Raises Unavailable; the caller may then repeat it."""
        entry = audit_entry(AuditAction.DELETE_RUN, run_id, who=who)
        state = text(only(await self._pipe.run(self._scripts["delete"], args=(run_id, entry))))
        if state and state not in ENDS:
            return Deletion.NOT_ENDED
        await self._log.discard(run_id)  # also without a record: an earlier try may have deleted the record only
        return Deletion.DONE if state else Deletion.NO_RUN


def _pause(entry: str) -> Pause:
    since, _, who = entry.partition(" ")
    return Pause(int(since), who)
