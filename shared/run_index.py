"""Finding runs: those that fit, page by page, and a run's place in the queue."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from shared.events import Stop, Value
from shared.keys import Keys
from shared.lua import ledger_script
from shared.redis import Pipe, Reply, optional_texts, texts
from shared.states import ENDS, State

LOOK = 1_000  # runs that one script looks at: it holds up everybody else meanwhile
LOOKS = 20  # scripts for one page at most; a page that is short after that has a cursor all the same


@dataclass(frozen=True)
class Wanted:
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
class Page:
    """Run ids, newest first. `cursor` asks for the next page; empty on the last one."""

    run_ids: list[str]
    cursor: str


class RunRow(Value):
    """A run as lists show it: without what was asked and said. Times are ms since the epoch by Redis's clock, 0 when
    not yet."""

    run_id: str
    state: State
    agent: str
    session: str
    owner: str
    worker: str
    begun: int  # the last attempt that started an agent
    tries: int
    cancel: Stop | None
    queued_ms: int
    ready_ms: int
    started_ms: int
    ended_ms: int
    code: str
    again: str


_TIMES = ("queued", "ready", "started", "ended")
_FIELDS = ("state", "agent", "session", "owner", "worker", "begun", "tries", "cancel", "code", "again", *_TIMES)


class RunIndex:
    def __init__(self, pipe: Pipe, keys: Keys) -> None:
        self._pipe = pipe
        self._keys = keys
        self._find, self._position = ledger_script("find", keys), ledger_script("position", keys)

    async def page(self, wanted: Wanted, *, cursor: str = "", most: int) -> Page:
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
        return Page(found, cursor)

    async def rows(self, run_ids: Iterable[str]) -> list[RunRow]:
        """Of these runs, in order; those that have just expired are left out."""
        ids = list(run_ids)
        asked = (self._pipe.command("HMGET", self._keys.run(run_id), *_FIELDS) for run_id in ids)
        replies = await asyncio.gather(*asked)
        return [row for run_id, reply in zip(ids, replies, strict=True) if (row := _row(run_id, reply)) is not None]

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


def _row(run_id: str, reply: Reply) -> RunRow | None:
    fields = dict(zip(_FIELDS, optional_texts(reply), strict=True))
    if not fields["state"]:
        return None
    times = {f"{name}_ms": fields[name] or 0 for name in _TIMES}
    return RunRow.model_validate(
        {**fields, **times, "run_id": run_id, "begun": fields["begun"] or 0, "cancel": fields["cancel"] or None}
    )
