from __future__ import annotations

import httpx
import pytest

from shared.ledger.ledger import Ledger
from shared.run.run import End
from shared.run.states import State
from tests.api.running import problem
from tests.runs import a_run, claim_one, submit

STATS = "/v1/admin/stats"


@pytest.mark.parametrize(("params", "number"), [({}, 60), ({"window": "hour"}, 60), ({"window": "day"}, 96)])
async def test_how_it_is_now_and_was(
    mona: httpx.AsyncClient, ledger: Ledger, params: dict[str, str], number: int
) -> None:
    for agent in ("main", "main", "coder"):
        await submit(ledger, a_run(agent_id=agent))
    await ledger.settle(await claim_one(ledger), End(state=State.FAILED))
    await claim_one(ledger)
    seen = (await mona.get(STATS, params=params)).json()
    assert [seen["now"][name] for name in ("waiting", "running", "failed", "completed")] == [1, 1, 1, 0]
    assert [(one["agent"], one["waiting"]) for one in seen["agents"]] == [("coder", 0), ("main", 1)]
    assert seen["redis"]["round_trip_ms"] > 0
    assert len(seen["series"]) == number
    assert [sum(span[name] for span in seen["series"]) for name in ("accepted", "failed")] == [3, 1]
    assert max(span["wait_p95_ms"] or 0 for span in seen["series"]) >= 0
    assert any(span["wait_p50_ms"] is not None for span in seen["series"])


async def test_an_unknown_window_is_told(mona: httpx.AsyncClient) -> None:
    assert problem(await mona.get(STATS, params={"window": "year"})) == (400, "invalid_value", "window")
