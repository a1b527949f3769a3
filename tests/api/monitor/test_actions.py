"""The buttons, tested by their effect on the service."""

from __future__ import annotations

import re

import httpx
import pytest

from api.monitor.actions import MESSAGES
from shared.ledger.presence import Presence, WorkerOrder
from shared.redis.keys import ALL
from shared.run.errors import ErrorCode
from shared.run.events import Failed
from tests.api.monitor.browsing import actions
from tests.api.stage import Stage
from tests.broker import KEYS
from tests.shared.announcing import announcement

FAILED = Failed(code=ErrorCode.AGENT_FAILED, message="It broke.")


async def posted(client: httpx.AsyncClient, **body: object) -> str:
    return str((await client.post("/v1/runs", json={"input": "Hi", **body})).json()["id"])


async def failed(client: httpx.AsyncClient, stage: Stage, **body: object) -> str:
    run_id = await posted(client, **body)
    await (await stage.take()).end(FAILED)
    return run_id


async def done(browser: httpx.AsyncClient, action: str, **form: str) -> str:
    """Posts the form, and returns the page to which it led. That page must show a message."""
    answer = await browser.post(action, data=form)
    assert answer.status_code == 303, answer.text
    address = str(answer.headers["location"])
    page = await browser.get(address)
    assert page.status_code == 200
    assert 'class="told"' in page.text
    return address.partition("?")[0]


async def deeds(browser: httpx.AsyncClient) -> list[str]:
    return re.findall(r"<td>((?:run|worker|queue)\.\w+)</td>", (await browser.get("/monitor/audit")).text)


async def test_a_run_that_waits_is_cancelled_by_its_button(
    operator: httpx.AsyncClient, alice: httpx.AsyncClient
) -> None:
    run_id = await posted(alice)
    (action,) = actions(await operator.get(f"/monitor/runs/{run_id}"))
    assert await done(operator, action) == f"/monitor/runs/{run_id}"
    assert (await alice.get(f"/v1/runs/{run_id}")).json()["state"] == "cancelled"
    assert "had ended already" in (await operator.post(action, follow_redirects=True)).text
    assert "run.cancel" in await deeds(operator)


async def test_a_run_that_ended_is_run_again_and_deleted(
    operator: httpx.AsyncClient, alice: httpx.AsyncClient, stage: Stage
) -> None:
    run_id = await failed(alice, stage)
    again, delete = actions(await operator.get(f"/monitor/runs/{run_id}"))
    new = await done(operator, again)
    assert new.startswith("/monitor/runs/chatcmpl_")
    assert not new.endswith(run_id)
    assert await done(operator, delete) == "/monitor/runs"
    assert (await operator.get(f"/monitor/runs/{run_id}")).status_code == 404
    assert await deeds(operator) == ["run.delete", "run.retry"]


@pytest.mark.parametrize("act", ["again", "delete"])
async def test_what_goes_on_is_neither_run_again_nor_deleted(
    operator: httpx.AsyncClient, alice: httpx.AsyncClient, act: str
) -> None:
    run_id = await posted(alice)
    answer = await operator.post(f"/monitor/runs/{run_id}/{act}")
    assert answer.status_code == 409
    assert "Cancel it first" in answer.text


@pytest.mark.parametrize("act", ["cancel", "again", "delete"])
async def test_there_is_no_such_run(operator: httpx.AsyncClient, act: str) -> None:
    assert (await operator.post(f"/monitor/runs/chatcmpl_gone/{act}")).status_code == 404


async def test_all_failed_runs_of_a_filter_are_run_again_once(
    operator: httpx.AsyncClient, alice: httpx.AsyncClient, stage: Stage
) -> None:
    session = "agent:main:one"
    mine = [await failed(alice, stage, session=session) for _ in range(2)]
    other = await failed(alice, stage)
    answer = await operator.post("/monitor/failed/again", data={"session": session, "state": "failed"})
    page = (await operator.get(answer.headers["location"])).text
    assert "2 runs were run again, 0 could not be." in page
    assert all(run_id in page for run_id in mine)
    assert other not in page  # the filter stays
    again = await operator.post("/monitor/failed/again", data={"session": session}, follow_redirects=True)
    assert "0 runs were run again" in again.text
    assert await deeds(operator) == ["run.retry", "run.retry"]


@pytest.mark.parametrize("form", [{"agent": "x" * 3}, {"code": "worker_lost"}, {"owner": "bob"}, {"before": "300"}])
async def test_a_filter_that_fits_none_runs_none_again(
    operator: httpx.AsyncClient, alice: httpx.AsyncClient, stage: Stage, form: dict[str, str]
) -> None:
    await failed(alice, stage)
    assert "0 runs" in (await operator.post("/monitor/failed/again", data=form, follow_redirects=True)).text


async def test_a_worker_is_drained_and_resumed(operator: httpx.AsyncClient, stage: Stage) -> None:
    presence = Presence(stage.pipe, KEYS)
    (drain,) = actions(await operator.get("/monitor/workers"))
    assert await done(operator, drain) == "/monitor/workers"
    assert await presence.announce(announcement("w1")) is WorkerOrder.DRAIN
    await presence.announce(announcement("w1", state="draining").model_copy(update={"ordered": True}))
    (resume,) = actions(await operator.get("/monitor/workers"))
    await done(operator, resume)
    assert await presence.announce(announcement("w1")) is WorkerOrder.NONE
    assert (await operator.post("/monitor/workers/nobody/drain")).status_code == 404


@pytest.mark.parametrize("agent", ["", "coder"])
async def test_the_queue_or_an_agent_is_paused_and_resumed(
    operator: httpx.AsyncClient, alice: httpx.AsyncClient, agent: str
) -> None:
    assert await done(operator, "/monitor/queue/pause", agent=agent) == "/monitor/queue"
    assert "paused" in (await operator.get("/monitor/queue")).text
    await done(operator, "/monitor/queue/resume", agent=agent)
    assert await deeds(operator) == ["queue.resume", "queue.pause"]
    audit = (await operator.get("/monitor/audit")).text
    assert (agent or "the whole queue") in audit
    assert ALL not in re.findall(r"<td>(.)</td>", audit)


async def test_an_agent_that_cannot_be_is_not_paused(operator: httpx.AsyncClient) -> None:
    assert (await operator.post("/monitor/queue/pause", data={"agent": "No Agent"})).status_code == 400


def test_what_is_told_needs_no_more_than_numbers() -> None:
    assert all(text.format(count=1, refused=2) for text in MESSAGES.values())
