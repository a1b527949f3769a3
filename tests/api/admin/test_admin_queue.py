from __future__ import annotations

import httpx
import pytest

from shared.ledger.ledger import Ledger
from shared.redis.keys import PAUSED_MOST
from tests.api.running import problem
from tests.broker import KEYS, Look
from tests.runs import a_run, claim, claim_one, submit

QUEUE = "/v1/admin/queue"


async def test_the_queue_is_seen_by_agent(mona: httpx.AsyncClient, ledger: Ledger) -> None:
    for agent in ("main", "main", "coder"):
        await submit(ledger, a_run(agent_id=agent))
    await claim_one(ledger)
    seen = (await mona.get(QUEUE)).json()
    assert (seen["waiting"], seen["running"], seen["held"], seen["paused"]) == (2, 1, 0, None)
    assert [(one["agent"], one["waiting"], one["running"]) for one in seen["agents"]] == [
        ("coder", 1, 0),
        ("main", 1, 1),
    ]


async def test_the_whole_queue_is_paused_and_resumed(olga: httpx.AsyncClient, ledger: Ledger) -> None:
    await submit(ledger, a_run())
    paused = (await olga.post(f"{QUEUE}/pause")).json()
    assert paused["paused"]["who"] == "olga"
    assert paused["paused"]["since_ms"] > 0
    assert (paused["waiting"], paused["held"]) == (0, 1)
    assert await claim(ledger) == []
    assert (await olga.post(f"{QUEUE}/resume", json={})).json()["paused"] is None
    assert len(await claim(ledger)) == 1


async def test_an_agent_is_paused_and_resumed(olga: httpx.AsyncClient, ledger: Ledger) -> None:
    for agent in ("main", "coder"):
        await submit(ledger, a_run(agent_id=agent))
    seen = (await olga.post(f"{QUEUE}/pause", json={"agent": "coder"})).json()
    assert [(one["agent"], bool(one["paused"]), one["held"]) for one in seen["agents"]] == [
        ("coder", True, 1),
        ("main", False, 0),
    ]
    assert [one.run.agent_id for one in await claim(ledger)] == ["main"]
    await olga.post(f"{QUEUE}/resume", json={"agent": "coder"})
    assert [one.run.agent_id for one in await claim(ledger)] == ["coder"]


async def test_an_idle_agent_that_is_paused_is_seen(olga: httpx.AsyncClient) -> None:
    seen = (await olga.post(f"{QUEUE}/pause", json={"agent": "nobody"})).json()
    assert [(agent["agent"], agent["waiting"], agent["paused"]["who"]) for agent in seen["agents"]] == [
        ("nobody", 0, "olga")
    ]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b'{"agnt": "coder"}', "agnt"),
        (b'{"agent": "Coder"}', "agent"),
        (b'{"agent": "*"}', "agent"),
        (b'{"agent": ""}', "agent"),
        (b'{"agent": 1}', "agent"),
        (b'"coder"', "body"),
        (b"{", "body"),
    ],
)
@pytest.mark.parametrize("act", ["pause", "resume"])
async def test_what_names_no_agent_does_not_mean_all(
    olga: httpx.AsyncClient, act: str, body: bytes, param: str
) -> None:
    assert problem(await olga.post(f"{QUEUE}/{act}", content=body)) == (400, "invalid_value", param)
    assert (await olga.get(QUEUE)).json()["paused"] is None


async def test_too_many_pauses_are_refused(olga: httpx.AsyncClient, look: Look) -> None:
    look.hset(KEYS.paused, mapping={f"agent-{number}": "1 olga" for number in range(PAUSED_MOST)})
    answer = await olga.post(f"{QUEUE}/pause", json={"agent": "coder"})
    assert problem(answer) == (409, "too_many_pauses", None)
