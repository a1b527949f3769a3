"""What operators do to the queue, to workers and to finished runs. Each act and its entry in the audit are one script;
runs are stopped and run again by the ledger, which does the same for clients."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from shared.ledger.audit import AuditAction, audit_entry
from shared.ledger.ledger_script import ledger_script
from shared.ledger.presence import WorkerOrder
from shared.log.event_log import EventLog
from shared.redis.keys import Keys
from shared.redis.pipe import Pipe
from shared.redis.replies import mapping, text
from shared.run.errors import TooManyPauses
from shared.run.states import ENDS, State

AT_ONCE = 1_000  # runs that one script gives back to the queue: it holds up everybody else meanwhile


@dataclass(frozen=True)
class Pause:
    """Since when, in ms since the epoch by Redis's clock, and by whom."""

    since_ms: int
    who: str


class Deletion(Enum):
    DONE = "done"
    NO_RUN = "no_run"
    NOT_ENDED = "not_ended"


class Operations:
    def __init__(self, pipe: Pipe, keys: Keys, log: EventLog) -> None:
        self._pipe = pipe
        self._keys = keys
        self._log = log
        acts = ("pause", "resume", "order", "delete")
        self._scripts = {act: ledger_script(act, keys) for act in acts}

    async def pause(self, agent: str, *, who: str) -> None:
        """Workers claim no run of the agent, or none at all (ALL), until that is resumed. Those that run go on.

        Runs that wait stay where they are, and no time under a pause ends them. Raises TooManyPauses.
        """
        entry = audit_entry(AuditAction.PAUSE_QUEUE, agent, who=who)
        if await self._pipe.run(self._scripts["pause"], args=(agent, who, entry)) == -1:
            raise TooManyPauses(agent)

    async def resume(self, agent: str, *, who: str) -> None:
        """The runs that waited are claimed in their old order, each with the whole of its patience. Without effect when
        there is no pause."""
        entry = audit_entry(AuditAction.RESUME_QUEUE, agent, who=who)
        while await self._pipe.run(self._scripts["resume"], args=(agent, AT_ONCE, entry)) != 0:
            continue

    async def paused(self) -> dict[str, Pause]:
        """By agent, and ALL for the whole queue."""
        entries = mapping(await self._pipe.command("HGETALL", self._keys.paused))
        return {agent: _pause(entry) for agent, entry in entries.items()}

    async def drain(self, worker: str, *, who: str) -> bool:
        """The worker takes no more runs until it is resumed or ends. False when there is none of this name."""
        return await self._order(worker, WorkerOrder.DRAIN, audit_entry(AuditAction.DRAIN_WORKER, worker, who=who))

    async def undrain(self, worker: str, *, who: str) -> bool:
        """The worker takes runs again. False when there is none of this name."""
        return await self._order(worker, WorkerOrder.NONE, audit_entry(AuditAction.RESUME_WORKER, worker, who=who))

    async def _order(self, worker: str, order: WorkerOrder, entry: str) -> bool:
        return await self._pipe.run(self._scripts["order"], args=(worker, order.value, entry)) == 1

    async def delete(self, run_id: str, *, who: str) -> Deletion:
        """Forgets a run that has ended, and all that was said in it. To be repeated when Redis did not answer."""
        entry = audit_entry(AuditAction.DELETE_RUN, run_id, who=who)
        state = text(await self._pipe.run(self._scripts["delete"], args=(run_id, entry)))
        if state and State(state) not in ENDS:
            return Deletion.NOT_ENDED
        await self._log.discard(run_id)  # also when the record is gone: an earlier try may have come no further
        return Deletion.DONE if state else Deletion.NO_RUN


def _pause(entry: str) -> Pause:
    since, _, who = entry.partition(" ")
    return Pause(int(since), who)
