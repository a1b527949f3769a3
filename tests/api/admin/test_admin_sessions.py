from __future__ import annotations

import httpx

from shared.ledger.ledger import Ledger
from tests.runs import a_run, claim_one, submit

SESSIONS = "/v1/admin/sessions"


async def test_who_is_at_work_in_a_session_and_who_waits(mona: httpx.AsyncClient, ledger: Ledger) -> None:
    runs = [a_run("agent:main:s") for _ in range(3)]
    for run in (*runs, alone := a_run("agent:main:t")):
        await submit(ledger, run)
    await claim_one(ledger)
    busy, waits = (await mona.get(SESSIONS)).json()["data"]
    assert (busy["session"], busy["agent"], busy["owner"], busy["runs"]) == ("agent:main:s", "main", "alice", 3)
    assert (busy["holder"], busy["worker"]) == (runs[0].run_id, "w1")
    assert busy["since_ms"] > 0
    assert busy["waiting"] == [run.run_id for run in runs[1:]]
    assert (waits["holder"], waits["waiting"]) == (None, [alone.run_id])
    assert len((await mona.get(SESSIONS, params={"limit": 1})).json()["data"]) == 1


async def test_where_nothing_is_to_be_done_there_are_none(mona: httpx.AsyncClient) -> None:
    assert (await mona.get(SESSIONS)).json() == {"data": []}
