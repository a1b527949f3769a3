"""Finding runs: an owner's, page by page, and a run's place in the queue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from shared.keys import Keys
from shared.lua import ledger_script
from shared.redis import Pipe, texts


@dataclass(frozen=True)
class Page:
    """Run ids, newest first. `cursor` asks for the next page; empty on the last one."""

    run_ids: list[str]
    cursor: str


class RunIndex:
    def __init__(self, pipe: Pipe, keys: Keys) -> None:
        self._pipe = pipe
        self._list, self._position = ledger_script("list", keys), ledger_script("position", keys)

    async def page(self, owner: str, *, cursor: str = "", most: int, where: Mapping[str, str]) -> Page:
        """`where` holds what `state`, `agent` or `session` of a run must be."""
        filters = [item for pair in where.items() for item in pair]
        following, *ids = texts(await self._pipe.run(self._list, args=(owner, cursor, most, *filters)))
        return Page(ids, following)

    async def position(self, run_id: str) -> int | None:
        """How many runs go before this one: of its session, the one that runs included, until it is its turn there;
        from then on of all that a worker may claim. None when it does not wait."""
        before = await self._pipe.run(self._position, args=(run_id,))
        return before if isinstance(before, int) and before >= 0 else None
