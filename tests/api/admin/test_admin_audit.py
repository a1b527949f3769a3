from __future__ import annotations

import httpx

AUDIT = "/v1/admin/audit"


async def test_what_was_done_is_told_newest_first(olga: httpx.AsyncClient, mona: httpx.AsyncClient) -> None:
    await olga.post("/v1/admin/queue/pause", json={"agent": "coder"})
    await olga.post("/v1/admin/queue/pause")
    noted = (await mona.get(AUDIT)).json()["data"]
    assert [(one["who"], one["act"], one["target"]) for one in noted] == [
        ("olga", "queue.pause", "*"),
        ("olga", "queue.pause", "coder"),
    ]
    assert noted[0]["at_ms"] >= noted[1]["at_ms"] > 0
    assert len((await mona.get(AUDIT, params={"limit": 1})).json()["data"]) == 1
