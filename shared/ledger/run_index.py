"""Finding runs: those that fit, page by page, and a run's place in the queue."""

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
from shared.run.states import ENDS, State

LOOK = 1_000  # runs that one script looks at: it holds up everybody else meanwhile
LOOKS = 20  # scripts for one page at most; a page that is short after that has a cursor all the same


@dataclass(frozen=True)
class RunFilter:
    """What the runs must be; an empty field says nothing. Times are ms since the epoch, of acceptance."""

    state: str = ""
    agent: str = ""
    session: str = ""
    owner: str = ""
    worker: str = ""  # that took it last
    code: str = ""  # of a failed run
    prefix: str = ""  # of the run's id
    since_ms: int | None = None
    to_ms: int | None = None

    @property
    def where(self) -> dict[str, str]:
        """By the field of the run record."""
        fields = asdict(self)
        return {name: fields[name] for name in ("state", "agent", "session", "owner", "worker", "code") if fields[name]}


@dataclass(frozen=True)
class RunIdPage:
    """Run ids, newest first. `cursor` asks for the next page; empty on the last one."""

    run_ids: list[str]
    cursor: str


class RunIndex:
    def __init__(self, pipe: Pipe, keys: Keys) -> None:
        self._pipe = pipe
        self._keys = keys
        self._find, self._position = ledger_script("find", keys), ledger_script("position", keys)

    async def page(self, wanted: RunFilter, *, cursor: str = "", most: int) -> RunIdPage:
        found: list[str] = []
        for _ in range(LOOKS):
            ask = {
                "cursor": cursor,
                "most": most - len(found),
                "look": LOOK,
                "since": "-inf" if wanted.since_ms is None else str(wanted.since_ms),
                "to": "+inf" if wanted.to_ms is None else str(wanted.to_ms),
                "prefix": wanted.prefix,
                "where": wanted.where,
            }
            cursor, *ids = texts(await self._pipe.run(self._find, args=(json.dumps(ask),)))
            found += ids
            if not cursor or len(found) == most:
                break
        return RunIdPage(found, cursor)

    async def rows(self, run_ids: Iterable[str]) -> list[RunRow]:
        """Of these runs, in order; those that have just expired are left out."""
        ids = list(run_ids)
        asked = (self._pipe.command("HMGET", self._keys.run(run_id), *ROW_FIELDS) for run_id in ids)
        records = [dict(zip(ROW_FIELDS, optional_texts(reply), strict=True)) for reply in await asyncio.gather(*asked)]
        return [row_of(run_id, fields) for run_id, fields in zip(ids, records, strict=True) if fields["state"]]

    async def oldest(self, state: State, most: int) -> list[RunRow]:
        """Runs in this state, those that were accepted first."""
        return await self.rows(texts(await self._pipe.command("ZRANGE", self._keys.state(state), 0, most - 1)))

    async def ended(self) -> dict[State, int]:
        """How many kept runs have ended in each way."""
        states = sorted(ENDS)
        counts = await asyncio.gather(*(self._pipe.command("ZCARD", self._keys.state(state)) for state in states))
        return {state: int(count) for state, count in zip(states, texts(list(counts)), strict=True)}

    async def position(self, run_id: str) -> int | None:
        """How many runs go before this one: of its session, the one that runs included, until it is its turn there;
        from then on of all that a worker may claim. None when it does not wait."""
        before = await self._pipe.run(self._position, args=(run_id,))
        return before if isinstance(before, int) and before >= 0 else None
