"""A page: what it is asked for, what it shows, and the template that shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class PageRequest:
    """`target` is what the path names: a run. Of a query parameter that is given twice the last one counts."""

    query: Mapping[str, str]
    target: str = ""


class MonitorPage(Protocol):
    @property
    def template(self) -> str: ...

    async def view(self, asked: PageRequest) -> object:
        """All that the page shows, as a frozen value. Raises Failure and Unavailable."""
        ...

    async def live_view(self, asked: PageRequest) -> object:
        """As much of it as the live parts of the page show (blocks named `live_...`)."""
        ...
