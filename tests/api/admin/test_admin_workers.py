from __future__ import annotations

from typing import Literal

import httpx
import pytest

from shared.ledger.presence import Presence, WorkerOrder
from shared.redis.keys import WORKER_TTL_MS
from shared.redis.pipe import Pipe
from tests.api.running import problem
from tests.api.stage import Stage
from tests.broker import KEYS, Look
from tests.shared.announcing import announcement
from tests.wait import wait_until

WORKERS = "/v1/admin/workers"


@pytest.mark.parametrize(
    ("announced", "running", "silent_ms", "state"),
    [
        ("serving", 3, 0, "serving"),
        ("draining", 3, 0, "draining"),
        ("draining", 0, 0, "drained"),
        ("gone", 0, 0, "gone"),
        ("gone", 0, WORKER_TTL_MS + 1_000, "gone"),
        ("serving", 3, WORKER_TTL_MS + 1_000, "lost"),
        ("draining", 0, WORKER_TTL_MS + 1_000, "lost"),
    ],
)
async def test_the_state_of_a_worker(
    mona: httpx.AsyncClient,
    pipe: Pipe,
    look: Look,
    announced: Literal["serving", "draining", "gone"],
    running: int,
    silent_ms: int,
    state: str,
) -> None:
    sent = announcement("w2", "main", "coder", state=announced).model_copy(update={"running": running})
    await Presence(pipe, KEYS).announce(sent)
    seconds, _ = look.time()
    _, _, text = (look.hget(KEYS.workers, "w2") or b"").partition(b" ")
    look.hset(KEYS.workers, "w2", b"%d %b" % (seconds * 1000 - silent_ms, text))
    workers = (await mona.get(WORKERS)).json()["workers"]
    (seen,) = [worker for worker in workers if worker["name"] == "w2"]
    assert (seen["state"], seen["running"], seen["slots"], seen["agents"]) == (state, running, 10, ["coder", "main"])
    assert seen["age_ms"] >= silent_ms


async def test_this_process_is_seen_itself(mona: httpx.AsyncClient) -> None:
    async def seen() -> list[dict[str, object]]:
        return list((await mona.get(WORKERS)).json()["webs"])

    (web,) = await wait_until(seen, "the process has announced itself")
    assert (web["name"], web["state"], web["streams"]) == ("api", "serving", 0)


async def test_a_worker_is_drained_and_resumed(olga: httpx.AsyncClient, stage: Stage) -> None:
    presence = Presence(stage.pipe, KEYS)
    for act, order in (("drain", WorkerOrder.DRAIN), ("resume", WorkerOrder.NONE)):
        assert (await olga.post(f"{WORKERS}/w1/{act}")).status_code == 202
        assert await presence.announce(announcement("w1")) is order


@pytest.mark.parametrize("act", ["drain", "resume"])
async def test_there_is_no_such_worker(olga: httpx.AsyncClient, act: str) -> None:
    assert problem(await olga.post(f"{WORKERS}/nobody/{act}"))[:2] == (404, "worker_not_found")
