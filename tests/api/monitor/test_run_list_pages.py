from __future__ import annotations

import re

import httpx
import pytest

from api.http.api_errors import ApiError
from api.monitor.run_list_pages import PER_PAGE, RunSearch, failed, parse_search
from shared.ledger.ledger import Ledger
from tests.runs import a_run, submit


def test_the_form_says_what_is_wanted() -> None:
    given = parse_search({"id": " 0f3a ", "state": "running", "agent": "coder", "within": "300", "told": "x"})
    wanted = given.wanted
    assert (wanted.prefix, wanted.state, wanted.agent, wanted.to_ms) == ("chatcmpl_0f3a", "running", "coder", None)
    assert wanted.since_ms is not None
    assert given.query() == "id=0f3a&state=running&agent=coder&within=300"
    assert given.query(cursor="1.5").endswith("&cursor=1.5")


@pytest.mark.parametrize("query", [{"state": "lost"}, {"within": "x"}, {"before": "-1"}])
def test_the_form_cannot_say_everything(query: dict[str, str]) -> None:
    with pytest.raises(ApiError):
        parse_search(query)


def test_failed_runs_are_sought_by_what_they_are_run_again_by() -> None:
    assert failed(RunSearch(id="0f3a", state="completed", agent="a")) == RunSearch(state="failed", agent="a")


async def test_all_runs_are_on_some_page_and_each_on_one(operator: httpx.AsyncClient, ledger: Ledger) -> None:
    made = {(await submit(ledger, a_run())).run_id for _ in range(PER_PAGE * 2 + 1)}
    seen: list[str] = []
    address = "/monitor/runs?agent=main"
    for number in (PER_PAGE, PER_PAGE, 1):
        page = (await operator.get(address)).text
        found = re.findall(r'<tr id="r-(.*?)">', page)
        assert len(found) == number
        seen += found
        older = re.search(r'href="([^"]*)" rel="next"', page)
        address = older[1].replace("&amp;", "&") if older else ""
    assert not address
    assert len(seen) == len(set(seen))
    assert set(seen) == made


async def test_a_filter_is_kept_in_its_form(operator: httpx.AsyncClient, ledger: Ledger) -> None:
    run_id = (await submit(ledger, a_run(owner="alice"))).run_id
    page = (await operator.get("/monitor/runs", params={"owner": "alice", "state": "queued"})).text
    assert run_id in page
    assert 'name="owner" value="alice"' in page
    assert "<option selected>queued" in page
    assert "No run fits." in (await operator.get("/monitor/runs", params={"owner": "bob"})).text
