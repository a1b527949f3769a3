"""Lists of runs: all runs that fit a search, and the failed ones among them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from urllib.parse import urlencode

from api.admin.admin_runs import AdminRuns, id_prefix
from api.http.query import cursor, number, one_of
from api.monitor.monitor_page import PageRequest
from shared.ledger.operator_views import AdminRunList
from shared.ledger.run_index import LOOK, LOOKS, RunFilter
from shared.run.clock import now_ms
from shared.run.states import State

PER_PAGE = 50
TIMES = {"300": "5 minutes", "900": "15 minutes", "3600": "hour", "21600": "6 hours", "86400": "day"}


@dataclass(frozen=True)
class RunSearch:
    """The fields of the search form as text. `within` and `before` are seconds ago."""

    id: str = ""
    state: str = ""
    agent: str = ""
    session: str = ""
    owner: str = ""
    worker: str = ""
    code: str = ""
    within: str = ""
    before: str = ""

    @property
    def wanted(self) -> RunFilter:
        """The filter for the ledger. Its times count from now."""
        now = now_ms()
        return RunFilter(
            state=self.state,
            agent=self.agent,
            session=self.session,
            owner=self.owner,
            worker=self.worker,
            code=self.code,
            prefix=id_prefix(self.id),
            since_ms=now - int(self.within) * 1000 if self.within else None,
            to_ms=now - int(self.before) * 1000 if self.before else None,
        )

    @property
    def filled(self) -> dict[str, str]:
        return {name: value for name, value in asdict(self).items() if value}

    def query(self, **more: str) -> str:
        """The search as the query of a link."""
        return urlencode({**self.filled, **{name: value for name, value in more.items() if value}})


def parse_search(query: Mapping[str, str]) -> RunSearch:
    """The search of a query or a form. Raises ApiError 400 for a value that the form cannot have."""
    given = RunSearch(**{name: query.get(name, "").strip() for name in RunSearch.__dataclass_fields__})
    if given.state:
        one_of(given.state, "state", State)
    for name in ("within", "before"):
        if value := getattr(given, name):
            number(value, name, most=10**9)
    return given


def failed(given: RunSearch) -> RunSearch:
    """The search among failed runs, without a run's id: only by these fields can an operator run them again."""
    return replace(given, state=State.FAILED, id="")


@dataclass(frozen=True)
class RunsView:
    rows: AdminRunList
    search: RunSearch
    cursor: str
    times: Mapping[str, str]

    @property
    def looked_at(self) -> int:
        """Runs that a page looks at, of which none may fit."""
        return LOOK * LOOKS


@dataclass(frozen=True)
class RunsPage:
    """Every run, newest first."""

    runs: AdminRuns
    template = "runs.html"

    async def view(self, page_request: PageRequest) -> RunsView:
        return await _view(self.runs, parse_search(page_request.query), page_request)

    live_view = view


@dataclass(frozen=True)
class FailedPage:
    """The failed runs, for an operator to find out why they failed and to run them again."""

    runs: AdminRuns
    template = "failed.html"

    async def view(self, page_request: PageRequest) -> RunsView:
        return await _view(self.runs, failed(parse_search(page_request.query)), page_request)

    live_view = view


async def _view(runs: AdminRuns, wanted: RunSearch, page_request: PageRequest) -> RunsView:
    place = cursor(page_request.query.get("cursor", ""))
    rows = await runs.view(wanted.wanted, cursor=place, most=PER_PAGE)
    return RunsView(rows, wanted, place, TIMES)
