"""The shape of a page: its request, its view and its template."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class PageRequest:
    """A request for a page. `target` is the id of the run that the path names, otherwise empty. When a query parameter
    is given twice, the last one counts."""

    query: Mapping[str, str]
    target: str = ""


class MonitorPage(Protocol):
    @property
    def template(self) -> str: ...

    async def view(self, page_request: PageRequest) -> object:
        """All that the page shows, as a frozen value. Raises ApiError and Unavailable."""
        ...

    async def live_view(self, page_request: PageRequest) -> object:
        """The part of the view that the live parts of the page show, which are the template's blocks named `live_...`.
        Raises ApiError and Unavailable."""
        ...
