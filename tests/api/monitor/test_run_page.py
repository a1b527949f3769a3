from __future__ import annotations

import httpx

from api.admin.timeline import timeline
from api.monitor.run_page import RAW, TEXT, timeline_entries
from shared.run.errors import ErrorCode
from shared.run.events import Completed, Failed, Queued, Started
from tests.api.stage import Stage
from tests.events import said


async def posted(client: httpx.AsyncClient) -> str:
    return str((await client.post("/v1/runs", json={"input": "Hi"})).json()["id"])


def test_a_step_is_told_by_how_long_after_the_run_was_queued() -> None:
    steps = timeline(said(Queued(), Started(attempt=1, worker="w"), Completed()))
    assert [one.after_ms for one in timeline_entries(steps, 2)] == [0, 0, 1]


async def test_of_a_long_run_the_end_is_shown(
    operator: httpx.AsyncClient, alice: httpx.AsyncClient, stage: Stage
) -> None:
    run_id = await posted(alice)
    attempt = await stage.take("first" + "x" * TEXT)
    for number in range(RAW):
        await attempt.say(f"[{number}]")
    page = (await operator.get(f"/monitor/runs/{run_id}")).text
    assert "characters are left out" in page
    assert "first" not in page.partition('id="answer"')[2].partition("</pre>")[0]
    assert f"[{RAW - 1}]" in page
    assert f"(the last {RAW})" in page
    assert f'data-after="{RAW + 3}"' in page


async def test_a_new_run_names_the_old_one_and_the_other_way_round(
    operator: httpx.AsyncClient, alice: httpx.AsyncClient, stage: Stage
) -> None:
    old = await posted(alice)
    await (await stage.take()).end(Failed(code=ErrorCode.AGENT_FAILED, message="It broke."))
    answer = await operator.post(f"/monitor/runs/{old}/again")
    new = str(answer.headers["location"]).partition("?")[0]
    assert f'href="/monitor/runs/{old}"' in (await operator.get(new)).text
    assert f'href="{new}"' in (await operator.get(f"/monitor/runs/{old}")).text
