"""Finds runs: those that match a filter, page by page, and a run's place in the queue."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from shared.ledger.ledger_script import ledger_script
from shared.ledger.run_record import ROW_FIELDS, RunRow, row_of
from shared.redis.keys import Keys
from shared.redis.pipe import Pipe
from shared.redis.replies import optional_texts, texts
from shared.run.errors import Unreadable
from shared.run.states import ENDS, State

LOOK = 1_000  # runs that one script reads: Redis serves no other client meanwhile
LOOKS = 20  # the most scripts for one page; a page that is still short after them has a cursor nevertheless


@dataclass(frozen=True)
class RunFilter:
    """Which runs match; an empty field matches every run. Times are when the ledger accepted the run, in ms since the
    epoch."""

    state: str = ""
    agent: str = ""
    session: str = ""
    owner: str = ""
    worker: str = ""  # the last owner
    code: str = ""  # of a failed run
    prefix: str = ""  # of the run id
    since_ms: int | None = None
    to_ms: int | None = None

    @property
    def where(self) -> dict[str, str]:
        """The required values, by the field of the run record."""
        fields = asdict(self)
        return {name: fields[name] for name in ("state", "agent", "session", "owner", "worker", "code") if fields[name]}


@dataclass(frozen=True)
class RunIdPage:
    """Run ids, newest first. `cursor` requests the next page; it is empty on the last page."""

    run_ids: list[str]
    cursor: str


class RunIndex:
    def __init__(self, pipe: Pipe, keys: Keys) -> None:
        self._pipe = pipe
        self._keys = keys
        self._find, self._position = ledger_script("find", keys), ledger_script("position", keys)

    async def page(self, wanted: RunFilter, *, cursor: str = "", most: int) -> RunIdPage:
        """The runs that match, at most `most`, from `cursor` on. Raises Unavailable."""
        found: list[str] = []
        for _ in range(LOOKS):
            query = {
                "cursor": cursor,
                "most": most - len(found),
                "look": LOOK,
                "since": "-inf" if wanted.since_ms is None else str(wanted.since_ms),
                "to": "+inf" if wanted.to_ms is None else str(wanted.to_ms),
                "prefix": wanted.prefix,
                "where": wanted.where,
            }
            cursor, *ids = texts(await self._pipe.run(self._find, args=(json.dumps(query),)))
            found += ids
            if not cursor or len(found) == most:
                break
        return RunIdPage(found, cursor)

    async def rows(self, run_ids: Iterable[str]) -> list[RunRow]:
        """The rows of these runs, in the order of `run_ids`. Runs that have expired are left out."""
        ids = list(run_ids)
        records = await asyncio.gather(*map(self._fields, ids))
        kept = ((run_id, (run_id, fields)) for run_id, fields in zip(ids, records, strict=True) if fields.get("state"))
        return self._pipe.unreadables.readable("run", kept, lambda record: row_of(*record))

    async def _fields(self, run_id: str) -> dict[str, str]:
        """The fields of a row; none when the record holds another type."""
        try:
            values = optional_texts(await self._pipe.command("HMGET", self._keys.run(run_id), *ROW_FIELDS))
        except Unreadable:
            return {}
        return dict(zip(ROW_FIELDS, values, strict=False))

    async def oldest(self, state: State, most: int) -> list[RunRow]:
        """At most `most` runs in this state, the first accepted first."""
        return await self.rows(texts(await self._pipe.command("ZRANGE", self._keys.state(state), 0, most - 1)))

    async def ended(self) -> dict[State, int]:
        """How many kept runs have ended in each way."""
        states = sorted(ENDS)
        counts = await asyncio.gather(*(self._pipe.command("ZCARD", self._keys.state(state)) for state in states))
        return {state: int(count) for state, count in zip(states, texts(list(counts)), strict=True)}

    async def position(self, run_id: str) -> int | None:
        """How many runs are ahead of this one. None when the run does not wait.

        Until its session's turn comes, these are the runs ahead of it in its lane, the running one included. From then
        on they are the runs ahead of it in the queue.
        """
        before = await self._pipe.run(self._position, args=(run_id,))
        return before if isinstance(before, int) and before >= 0 else None
