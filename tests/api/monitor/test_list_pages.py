from __future__ import annotations

import httpx

from tests.api.stage import Stage


async def posted(client: httpx.AsyncClient, session: str) -> str:
    return str((await client.post("/v1/runs", json={"input": "Hi", "session": session})).json()["id"])


async def test_who_holds_a_session_and_who_waits(
    onlooker: httpx.AsyncClient, alice: httpx.AsyncClient, stage: Stage
) -> None:
    ids = [await posted(alice, "agent:main:one") for _ in range(3)]
    await stage.take()
    page = (await onlooker.get("/monitor/sessions")).text
    assert "agent:main:one" in page
    assert sorted(map(page.index, ids)) == [page.index(run_id) for run_id in ids]  # the holder first


async def test_what_workers_say_of_themselves(onlooker: httpx.AsyncClient, stage: Stage) -> None:
    page = (await onlooker.get("/monitor/workers")).text
    assert "h 1" in page
    assert "0 of 9" in page
    assert "serving" in page


async def test_a_long_session_key_is_cut_and_told_whole_in_its_title(
    onlooker: httpx.AsyncClient, alice: httpx.AsyncClient
) -> None:
    key = "agent:main:" + "k" * 200
    await posted(alice, key)
    page = (await onlooker.get("/monitor/sessions")).text
    assert f'class="cut" href="/monitor/runs?session={key.replace(":", "%3A")}" title="{key}"' in page


async def test_no_operator_has_done_anything_yet(onlooker: httpx.AsyncClient) -> None:
    assert "No operator has done anything yet." in (await onlooker.get("/monitor/audit")).text
