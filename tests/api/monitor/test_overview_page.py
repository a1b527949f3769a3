from __future__ import annotations

import httpx

from api.monitor.overview_page import LONGEST
from tests.api.stage import Stage


async def test_the_runs_that_are_at_work_longest_are_shown(
    operator: httpx.AsyncClient, alice: httpx.AsyncClient, stage: Stage
) -> None:
    made = []
    for _ in range(LONGEST + 1):
        made.append(str((await alice.post("/v1/runs", json={"input": "Hi"})).json()["id"]))
        await stage.take("Hello")
    page = (await operator.get("/monitor")).text
    shown = [run_id in page.partition('id="longest"')[2].partition('id="agents"')[0] for run_id in made]
    assert shown == [True] * LONGEST + [False]
    # All of them have been silent for long, because the clock of the test's worker counts from 0.
    assert page.count(f"At least {LONGEST} runs have said nothing") == 2  # now, and in the part that follows live
    assert page.count('class="stuck"') == LONGEST


async def test_now_and_over_time(operator: httpx.AsyncClient, alice: httpx.AsyncClient) -> None:
    await alice.post("/v1/runs", json={"input": "Hi"})
    for window, number in (("hour", 60), ("day", 96)):
        page = (await operator.get("/monitor", params={"window": window})).text
        assert "<b>1</b> <span>waiting</span>" in page
        assert page.count("<figure") == 4
        assert page.count('class="slot"') == 4 * number
