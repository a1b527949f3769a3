from __future__ import annotations

import json

import httpx
import pytest

from api.admin.admin_runs import LIMIT
from shared.ledger.ledger import Ledger
from shared.log.event_log import EventLog, Head
from shared.run.errors import ErrorCode
from shared.run.events import Completed, Failed, StopReason, ToolUse, make_event
from shared.run.run import End, Run
from shared.run.states import State
from tests.api.running import feed, problem
from tests.api.stage import Stage
from tests.broker import KEYS, Look, Stored
from tests.runs import DONE, a_run, claim, claim_one, submit

RUNS = "/v1/admin/runs"


async def posted(client: httpx.AsyncClient, **body: object) -> str:
    return str((await client.post("/v1/runs", json={"input": "Hi", **body})).json()["id"])


async def failed(stage: Stage, ledger: Ledger, log: EventLog, client: httpx.AsyncClient, **body: object) -> str:
    """A run of a client that failed."""
    run_id = await posted(client, **body)
    attempt = await stage.take()
    await attempt.end(Failed(code=ErrorCode.AGENT_FAILED, message="It broke."))
    return run_id


async def ended(ledger: Ledger, run: Run, end: End) -> str:
    await submit(ledger, run)
    one = await claim_one(ledger)
    await ledger.settle(one, end)
    return run.run_id


# --- looking ----------------------------------------------------------------------------------------------------------


async def test_every_run_is_seen_whoever_made_it(
    mona: httpx.AsyncClient, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    made = [await posted(alice), await posted(bob)]
    listed = (await mona.get(RUNS)).json()
    assert [run["id"] for run in listed["data"]] == made[::-1]
    assert [run["owner"] for run in listed["data"]] == ["bob", "alice"]
    assert listed["next_cursor"] is None


async def test_a_row_tells_when_what_came_to_pass(
    mona: httpx.AsyncClient, alice: httpx.AsyncClient, stage: Stage
) -> None:
    await posted(alice)
    attempt = await stage.take("Hello")
    (run,) = (await mona.get(RUNS)).json()["data"]
    assert (run["state"], run["agent"], run["worker"], run["attempt"], run["tries"]) == ("running", "main", "w1", 1, 1)
    assert run["queued_ms"] <= run["ready_ms"] <= run["started_ms"]
    assert run["started_ms"] - 1_000 < run["first_text_ms"] < run["started_ms"] + 60_000
    assert run["wait_ms"] == run["started_ms"] - run["ready_ms"]
    assert run["ended_ms"] is None
    await attempt.end()
    (run,) = (await mona.get(RUNS)).json()["data"]
    assert run["ended_ms"] >= run["started_ms"]


async def test_runs_are_searched_by_what_is_known_of_them(
    mona: httpx.AsyncClient,
    alice: httpx.AsyncClient,
    bob: httpx.AsyncClient,
    stage: Stage,
    ledger: Ledger,
    log: EventLog,
) -> None:
    lost = await failed(stage, ledger, log, alice)
    waits = await posted(bob, session="mine")
    searches: list[tuple[dict[str, str | int], list[str]]] = [
        ({"state": "failed"}, [lost]),
        ({"owner": "bob"}, [waits]),
        ({"session": "mine"}, [waits]),
        ({"agent": "main"}, [waits, lost]),
        ({"worker": "w1"}, [lost]),
        ({"code": "agent_failed"}, [lost]),
        ({"id": lost}, [lost]),
        ({"id": lost[:20]}, [lost]),
        ({"id": lost.removeprefix("chatcmpl_")[:12]}, [lost]),
        ({"since_ms": 2**50}, []),
        ({"to_ms": 2**50}, [waits, lost]),
        ({"to_ms": 1}, []),
        ({"state": "failed", "owner": "bob"}, []),
    ]
    for params, expected in searches:
        found = (await mona.get(RUNS, params=params)).json()["data"]
        assert [run["id"] for run in found] == expected, params


@pytest.mark.slow
async def test_ten_thousand_runs_are_paged_to_the_last(mona: httpx.AsyncClient, look: Look) -> None:
    number = 10_000
    ids = [f"chatcmpl_{i:05}" for i in range(number)]
    for name in (KEYS.prefixes()["runs"], KEYS.state("failed")):
        look.zadd(name, {run_id: i for i, run_id in enumerate(ids)})
        look.expire(name, 60)
    record: dict[str, Stored] = {
        "state": "failed",
        "agent": "main",
        "session": "s",
        "owner": "a",
        "tries": 1,
        "queued": 1,
    }
    for run_id in ids:
        look.hset(KEYS.run(run_id), mapping=record)
        look.expire(KEYS.run(run_id), 60)
    found: list[str] = []
    params: dict[str, str | int] = {"state": "failed", "limit": LIMIT.most}
    while True:
        page = (await mona.get(RUNS, params=params)).json()
        found += [run["id"] for run in page["data"]]
        if page["next_cursor"] is None:
            break
        params["cursor"] = page["next_cursor"]
    assert found == ids[::-1]


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"state": "lost"}, "state"),
        ({"limit": "0"}, "limit"),
        ({"cursor": "x"}, "cursor"),
        ({"since_ms": "-1"}, "since_ms"),
    ],
)
async def test_what_is_wrong_with_a_search_is_named(
    mona: httpx.AsyncClient, params: dict[str, str], param: str
) -> None:
    assert problem(await mona.get(RUNS, params=params)) == (400, "invalid_value", param)


async def test_an_operator_sees_why_a_run_failed(
    mona: httpx.AsyncClient, alice: httpx.AsyncClient, stage: Stage, ledger: Ledger, log: EventLog
) -> None:
    run_id = await posted(alice, session="mine")
    attempt = await stage.take("So far", ToolUse(phase="start", name="ls"))
    claim, run = attempt.claim, attempt.claim.run
    last = make_event(
        Failed(code="agent_failed", message="It broke."),
        run_id=run_id,
        session_key=run.session_key,
        attempt=1,
        seq=5,
        ts=5,
    )
    end = End(state=State.FAILED, text="So far", code="agent_failed", message="It broke.", detail="/etc: no such thing")
    await log.close([last], Head(5, 6, 0), end)
    await ledger.settle(claim, end)
    seen = (await mona.get(f"{RUNS}/{run_id}")).json()
    assert seen["error"] == {"code": "agent_failed", "message": "It broke.", "detail": "/etc: no such thing"}
    assert (seen["message"], seen["text"], seen["session"], seen["background"]) == ("Hi", "So far", "mine", True)
    steps = [(step["what"], step["note"]) for step in seen["timeline"]]
    assert steps == [("queued", ""), ("start", "w1"), ("text", ""), ("tool", "ls"), ("error", "agent_failed")]
    assert seen["timeline_complete"]
    assert "no such thing" not in (await alice.get(f"/v1/runs/{run_id}")).text


async def test_a_run_that_has_ended_in_its_log_has_ended(
    mona: httpx.AsyncClient, alice: httpx.AsyncClient, stage: Stage, log: EventLog
) -> None:
    """The writer may have died before it settled the ledger."""
    run_id = await posted(alice)
    attempt = await stage.take()
    last = make_event(Completed(), run_id=run_id, session_key=attempt.claim.run.session_key, attempt=1, seq=3, ts=3)
    await log.close([last], Head(3), DONE)
    seen = (await mona.get(f"{RUNS}/{run_id}")).json()
    assert (seen["state"], seen["text"]) == ("completed", "Done.")


@pytest.mark.slow
async def test_of_a_run_with_very_many_events_the_first_steps_are_shown(
    mona: httpx.AsyncClient, alice: httpx.AsyncClient, stage: Stage
) -> None:
    run_id = await posted(alice)
    attempt = await stage.take()
    for _ in range(11):
        await attempt.say(*["x"] * 1_000)
    seen = (await mona.get(f"{RUNS}/{run_id}")).json()
    assert [step["what"] for step in seen["timeline"]] == ["queued", "start", "text"]
    assert not seen["timeline_complete"]
    assert seen["text"] == "x" * 11_000


async def test_a_run_that_waits_has_a_place(mona: httpx.AsyncClient, alice: httpx.AsyncClient) -> None:
    await posted(alice)
    run_id = await posted(alice)
    assert (await mona.get(f"{RUNS}/{run_id}")).json()["queue_position"] == 1


@pytest.mark.parametrize("path", ["", "/events"])
async def test_there_is_no_such_run(mona: httpx.AsyncClient, path: str) -> None:
    assert problem(await mona.get(f"{RUNS}/chatcmpl_none{path}"))[:2] == (404, "run_not_found")


async def test_any_run_can_be_followed(mona: httpx.AsyncClient, alice: httpx.AsyncClient, stage: Stage) -> None:
    run_id = await posted(alice)
    attempt = await stage.take("Hello")
    async with feed(mona, f"{RUNS}/{run_id}/events", after=2) as events:
        assert json.loads((await events.next()).data)["data"]["delta"] == "Hello"
        await attempt.end()
        assert json.loads((await events.next()).data)["data"]["phase"] == "end"
    assert (await mona.get(f"{RUNS}/{run_id}/events", params={"after": 4})).status_code == 204


async def test_who_watches_is_no_reader(
    mona: httpx.AsyncClient, alice: httpx.AsyncClient, stage: Stage, look: Look
) -> None:
    """A run that ends without readers does so although an operator looks on."""
    run_id = await posted(alice, background=False)
    attended = KEYS.prefixes()["attended"]
    at = look.zscore(attended, run_id)
    await stage.take("Hello")
    async with feed(mona, f"{RUNS}/{run_id}/events") as events:
        await events.next()
        assert look.zscore(attended, run_id) == at
    assert look.zscore(attended, run_id) == at


# --- cancelling, deleting ---------------------------------------------------------------------------------------------


async def test_any_run_can_be_cancelled_and_who_did_it_is_noted(
    olga: httpx.AsyncClient, alice: httpx.AsyncClient, stage: Stage, ledger: Ledger
) -> None:
    waits = await posted(alice)
    answer = await olga.post(f"{RUNS}/{waits}/cancel")
    assert (answer.status_code, answer.json()["state"]) == (202, "cancelled")
    assert (await olga.post(f"{RUNS}/{waits}/cancel")).status_code == 200
    runs = await posted(alice)
    attempt = await stage.take()
    answer = await olga.post(f"{RUNS}/{runs}/cancel")
    assert (answer.status_code, answer.json()["cancel_requested"]) == (202, "user")
    record = await ledger.record(attempt.run_id)
    assert record is not None
    assert record.cancel is StopReason.USER
    noted = (await olga.get("/v1/admin/audit")).json()["data"]
    assert [(one["who"], one["act"], one["target"]) for one in noted] == [
        ("olga", "run.cancel", runs),
        ("olga", "run.cancel", waits),
    ]
    assert problem(await olga.post(f"{RUNS}/chatcmpl_none/cancel"))[0] == 404


async def test_a_deleted_run_is_gone_for_its_owner_too(
    olga: httpx.AsyncClient, alice: httpx.AsyncClient, stage: Stage, look: Look
) -> None:
    run_id = await posted(alice)
    assert problem(await olga.delete(f"{RUNS}/{run_id}"))[:2] == (409, "run_not_ended")
    await (await stage.take("Hello")).end()
    answer = await olga.delete(f"{RUNS}/{run_id}")
    assert (answer.status_code, answer.json()) == (200, {"id": run_id, "object": "run.deleted"})
    assert (await alice.get(f"/v1/runs/{run_id}")).status_code == 404
    assert (await alice.get("/v1/runs")).json()["data"] == []
    assert problem(await olga.delete(f"{RUNS}/{run_id}"))[:2] == (404, "run_not_found")
    assert [key for key in look.keys("*") if run_id.encode() in key] == []


# --- running again ----------------------------------------------------------------------------------------------------


async def test_a_run_is_run_again_as_a_new_one(
    olga: httpx.AsyncClient, alice: httpx.AsyncClient, stage: Stage, ledger: Ledger, log: EventLog
) -> None:
    old = await failed(stage, ledger, log, alice, input="Do it", session="mine", background=False)
    answer = await olga.post(f"{RUNS}/{old}/retry")
    new = answer.json()
    assert answer.status_code == 202
    assert new["id"] != old
    assert (new["state"], new["message"], new["session"], new["owner"]) == ("queued", "Do it", "mine", "alice")
    assert (new["again_of"], new["background"]) == (old, True)
    assert (await olga.get(f"{RUNS}/{old}")).json()["again"] == new["id"]
    await (await stage.take("Done now.")).end()
    assert (await alice.get(f"/v1/runs/{new['id']}")).json()["text"] == "Done now."


async def test_a_run_that_is_run_again_gets_in_line_in_its_session(
    olga: httpx.AsyncClient, alice: httpx.AsyncClient, stage: Stage, ledger: Ledger, log: EventLog
) -> None:
    old = await failed(stage, ledger, log, alice, session="mine")
    await posted(alice, session="mine")
    attempt = await stage.take()
    new = (await olga.post(f"{RUNS}/{old}/retry")).json()["id"]
    assert await claim(ledger) == []
    await attempt.end()
    assert (await stage.take()).run_id == new


async def test_what_cannot_be_run_again(
    olga: httpx.AsyncClient, alice: httpx.AsyncClient, ledger: Ledger, stage: Stage
) -> None:
    live = await posted(alice)
    assert problem(await olga.post(f"{RUNS}/{live}/retry"))[:2] == (409, "run_not_ended")
    assert problem(await olga.post(f"{RUNS}/chatcmpl_none/retry"))[:2] == (404, "run_not_found")
    await (await stage.take()).end()
    unserved = await ended(ledger, a_run(agent_id="gone"), DONE)
    assert problem(await olga.post(f"{RUNS}/{unserved}/retry"))[:2] == (404, "model_not_found")


FAILED = End(state=State.FAILED, code="worker_lost")


async def retried(client: httpx.AsyncClient, **body: object) -> dict[str, list[dict[str, str]]]:
    answer = await client.post(f"{RUNS}/retry", json=body)
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


async def test_all_that_failed_are_run_again_once_in_their_order(olga: httpx.AsyncClient, ledger: Ledger) -> None:
    ids = [await ended(ledger, a_run(), FAILED) for _ in range(3)]
    await ended(ledger, a_run(), DONE)
    first = await retried(olga)
    assert [pair["id"] for pair in first["data"]] == ids
    queue = [(await claim_one(ledger)).run.run_id for _ in range(3)]
    assert [pair["again"] for pair in first["data"]] == queue
    assert await retried(olga) == {"object": "list", "data": [], "refused": [], "next_cursor": None}
    noted = (await olga.get("/v1/admin/audit")).json()["data"]
    assert [(one["act"], one["target"]) for one in noted] == [("run.retry", run_id) for run_id in ids[::-1]]


async def test_only_what_fits_is_run_again_and_no_more_than_asked_for(olga: httpx.AsyncClient, ledger: Ledger) -> None:
    other = End(state=State.FAILED, code="agent_failed")
    lost = [await ended(ledger, a_run(), FAILED) for _ in range(5)]
    await ended(ledger, a_run(), other)
    first = await retried(olga, code="worker_lost", limit=2)
    assert [pair["id"] for pair in first["data"]] == lost[3:]
    rest = await retried(olga, code="worker_lost", cursor=first["next_cursor"])
    assert [pair["id"] for pair in rest["data"]] == lost[:3]
    assert rest["next_cursor"] is None


async def test_what_is_not_run_again_is_told(olga: httpx.AsyncClient, ledger: Ledger) -> None:
    unserved = await ended(ledger, a_run(agent_id="gone"), FAILED)
    served = await ended(ledger, a_run(), FAILED)
    result = await retried(olga)
    assert [pair["id"] for pair in result["data"]] == [served]
    assert [(refusal["id"], refusal["code"]) for refusal in result["refused"]] == [(unserved, "model_not_found")]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b'{"stat": "failed"}', "stat"),
        (b'{"state": "running"}', "state"),
        (b'{"limit": 101}', "limit"),
        (b'{"limit": "1"}', "limit"),
        (b'"failed"', "body"),
        (b"[]", "body"),
        (b"{", "body"),
        (b'{"cursor": "x"}', "cursor"),
    ],
)
async def test_a_misspelt_filter_runs_nothing_again(
    olga: httpx.AsyncClient, ledger: Ledger, body: bytes, param: str
) -> None:
    await ended(ledger, a_run(), FAILED)
    assert problem(await olga.post(f"{RUNS}/retry", content=body)) == (400, "invalid_value", param)
    assert (await olga.get(RUNS, params={"state": "queued"})).json()["data"] == []
