"""`/v1/runs` over HTTP, on real sockets, with a worker that the test plays."""

from __future__ import annotations

import asyncio
import json

import anyio
import httpx
import pytest
from openai._streaming import ServerSentEvent
from redis.asyncio import Redis
from starlette.requests import Request
from starlette.types import Message

from api.fleet.agent_directory import AgentDirectory
from api.http.api_errors import ApiError
from api.http.auth import Credentials, Scope
from api.intake.janitor import Janitor
from api.intake.run_access import RunAccess
from api.intake.submission import Submission
from api.relay.hub import Hub
from api.relay.reader_heartbeat import ReaderHeartbeat
from api.relay.relay import Relay
from api.runs.run_endpoints import RunEndpoints
from shared.ledger.ledger import Ledger
from shared.ledger.presence import Presence
from shared.ledger.reader_leases import ReaderLeases
from shared.ledger.run_index import RunIndex
from shared.log.event_log import PAGE, EventLog, Head
from shared.redis.pipe import Pipe
from shared.run.errors import Unavailable
from shared.run.events import Cancelled, Completed, Delta, Failed, StopReason, Usage
from shared.run.run import Policy
from tests.api.running import ALICE, Api, chat, feed, problem, running_api
from tests.api.stage import Stage
from tests.broker import KEYS, Broker, looking
from tests.runs import BOUNDS, a_run, claim, end_lease, end_patience, members, submit
from tests.wait import wait_until

ATTENDED = KEYS.prefixes()["attended"]
FOREVER = 1e15  # a time by which no run is abandoned, and that no process sets


async def made(client: httpx.AsyncClient, message: str = "Hi", **fields: object) -> str:
    """Id of a run that was just made."""
    answer = await client.post("/v1/runs", json={"input": message, **fields})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


async def shown(client: httpx.AsyncClient, run_id: str) -> dict[str, object]:
    answer = await client.get(f"/v1/runs/{run_id}")
    assert answer.status_code == 200, answer.text
    view = answer.json()
    assert isinstance(view, dict)
    return view


def numbers(events: list[ServerSentEvent]) -> list[int]:
    return [int(event.id or 0) for event in events]


# --- start and show ---------------------------------------------------------------------------------------------------


async def test_a_run_that_was_just_made(alice: httpx.AsyncClient) -> None:
    answer = await alice.post("/v1/runs", json={"input": "Hi", "session": "mine"})
    assert (answer.status_code, answer.headers["content-type"]) == (202, "application/json; charset=utf-8")
    view = answer.json()
    assert view["id"].startswith("chatcmpl_")
    assert view["created_ms"] > 0
    assert view["queued_ms"] > 0
    assert {name: view[name] for name in view if name not in ("id", "created_ms", "queued_ms")} == {
        "object": "run",
        "state": "queued",
        "agent": "main",
        "session": "mine",
        "background": True,
        "attempt": 0,
        "started_ms": None,
        "ended_ms": None,
        "queue_position": 0,
        "cancel_requested": None,
        "text": "",
        "last_event": 1,
        "tool_calls": None,
        "finish_reason": None,
        "usage": None,
        "error": None,
        "resumed": None,
    }


async def test_what_was_said_so_far_and_in_the_end(alice: httpx.AsyncClient, stage: Stage) -> None:
    run_id = await made(alice)
    attempt = await stage.take("one", Delta(delta="two", message=1))
    view = await shown(alice, run_id)
    assert (view["state"], view["attempt"], view["text"], view["queue_position"]) == ("running", 1, "one\n\ntwo", None)
    assert view["last_event"] == 4
    await attempt.say(Usage(prompt_tokens=1, completion_tokens=2, total_tokens=3))
    await attempt.end(Completed())
    view = await shown(alice, run_id)
    assert (view["state"], view["text"], view["last_event"], view["error"]) == ("completed", "one\n\ntwo", 6, None)
    assert view["ended_ms"]


async def test_why_a_run_failed(alice: httpx.AsyncClient, stage: Stage) -> None:
    run_id = await made(alice)
    await (await stage.take("half")).end(Failed(code="agent_failed", message="No."))
    view = await shown(alice, run_id)
    assert (view["state"], view["text"]) == ("failed", "half")
    assert view["error"] == {"code": "agent_failed", "message": "No."}


async def test_the_agent_gets_what_was_asked(alice: httpx.AsyncClient, stage: Stage) -> None:
    await alice.post("/v1/runs", json={"messages": [{"role": "user", "content": "Hello"}]})
    assert (await stage.take()).claim.run.message == "Hello"


async def test_places_in_the_queue(alice: httpx.AsyncClient, stage: Stage) -> None:
    runs = [await made(alice) for _ in range(3)]
    assert [(await shown(alice, run))["queue_position"] for run in runs] == [0, 1, 2]
    await stage.take()
    assert [(await shown(alice, run))["queue_position"] for run in runs] == [None, 0, 1]


async def test_places_in_a_session(alice: httpx.AsyncClient, stage: Stage) -> None:
    """Other runs that wait do not count until it is the run's turn in its session."""
    runs = [await made(alice, session="mine") for _ in range(3)]
    await made(alice)
    assert [(await shown(alice, run))["queue_position"] for run in runs] == [0, 1, 2]
    attempt = await stage.take()
    assert [(await shown(alice, run))["queue_position"] for run in runs] == [None, 1, 2]
    await attempt.end()
    assert [(await shown(alice, run))["queue_position"] for run in runs] == [None, 1, 1]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"{", (400, None, None)),
        (b"", (400, "invalid_value", "input")),
        (b"[]", (400, "invalid_value", "input")),
        (b'{"input": "Hi", "typo": 1}', (400, "invalid_value", "typo")),
        (b'{"messages": []}', (400, None, None)),
        (b'{"input": "Hi", "session": "a\\nb"}', (400, "illegal_session_key", None)),
        (b'{"input": "Hi", "agent": "nobody"}', (404, "model_not_found", "agent")),
        (b'{"input": "' + b"x" * 1_048_576 + b'"}', (413, None, None)),
    ],
)
async def test_what_cannot_be_run_is_told(
    alice: httpx.AsyncClient, body: bytes, expected: tuple[int, str | None, str | None]
) -> None:
    assert problem(await alice.post("/v1/runs", content=body)) == expected


async def test_a_session_of_another_credential(alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    await made(alice, session="alices")
    answer = await bob.post("/v1/runs", json={"input": "Hi", "session": "alices"})
    assert problem(answer) == (403, "session_taken", None)


async def test_too_many_that_wait_in_a_session(broker: Broker, stage: Stage) -> None:
    async with running_api(broker, max_waiting_per_session=2) as api, api.client() as alice:
        for _ in range(3):
            await made(alice, session="mine")  # one may run, and two wait
        full = await alice.post("/v1/runs", json={"input": "Hi", "session": "mine"})
        assert (problem(full), full.headers["retry-after"]) == ((429, "queue_full", None), "5")
        await made(alice, session="another")
        await (await stage.take()).end()
        await made(alice, session="mine")


async def test_too_many_that_wait_in_all(broker: Broker, stage: Stage) -> None:
    async with running_api(broker, max_waiting_runs=2) as api, api.client() as alice:
        for _ in range(2):
            await made(alice)
        full = await alice.post("/v1/chat/completions", json=chat())
        assert (problem(full), full.headers["retry-after"]) == ((429, "queue_full", None), "5")
        await stage.take()
        await made(alice)


# --- once -------------------------------------------------------------------------------------------------------------


async def test_the_same_key_is_the_same_run(alice: httpx.AsyncClient, stage: Stage) -> None:
    headers = {"Idempotency-Key": "k"}

    async def post(message: str = "Hi") -> httpx.Response:
        return await alice.post("/v1/runs", json={"input": message}, headers=headers)

    first = (await post()).json()
    assert (await post()).json()["id"] == first["id"]
    await (await stage.take("Hello")).end()
    again = (await post()).json()
    assert (again["id"], again["state"], again["text"]) == (first["id"], "completed", "Hello")
    other = await post("Ho")
    assert (problem(other), other.headers["x-should-retry"]) == ((409, "idempotency_key_reused", None), "false")
    assert await claim(stage.ledger) == []


async def test_a_run_that_cannot_be_read_is_told_with_its_id(
    alice: httpx.AsyncClient, stage: Stage, broker: Broker
) -> None:
    """Nobody need post again, or ask for another run: trying again is of no use."""
    headers = {"Idempotency-Key": "k"}
    first = (await alice.post("/v1/runs", json={"input": "Hi"}, headers=headers)).json()
    await (await stage.take("Hello")).end()
    with looking(broker) as look:
        look.hset(KEYS.head(first["id"]), "terminal", "junk")
    again = await alice.post("/v1/runs", json={"input": "Hi"}, headers=headers)
    assert problem(again) == (500, "unreadable", None)
    assert (again.headers["x-run-id"], again.headers["x-should-retry"]) == (first["id"], "false")


class MuteLog(EventLog):
    """Takes what is written, and cannot be read."""

    async def head(self, run_id: str) -> Head:
        raise Unavailable


async def test_a_run_that_was_accepted_and_cannot_be_shown_is_not_to_be_posted_again(
    redis: Redis, pipe: Pipe, stage: Stage
) -> None:
    """As when Redis goes away just then: to the client both are the same, but one of them has a run."""
    log, attendance = MuteLog(pipe, KEYS, retention_ms=60_000), ReaderLeases(pipe, KEYS)
    relay, readers = Relay(Hub(redis, resting="rest"), log, stage.ledger), ReaderHeartbeat(attendance)
    runs = RunEndpoints(
        authenticator=Credentials({Scope.API: {"alice": {ALICE}}}),
        directory=AgentDirectory(Presence(pipe, KEYS)),
        submission=Submission(relay, readers, stage.ledger, log, BOUNDS),
        access=RunAccess(relay, readers, stage.ledger, log),
        janitor=Janitor("api", stage.ledger, log, attendance),
        events=log,
        index=RunIndex(pipe, KEYS),
        max_body_bytes=1_000,
    )
    with pytest.raises(ApiError) as failed:
        await runs.create(posted(b'{"input": "Hi"}'))
    attempt = await stage.take()
    assert (failed.value.status, failed.value.error["code"]) == (503, "unavailable")
    assert (failed.value.headers["X-Run-Id"], failed.value.headers["x-should-retry"]) == (attempt.run_id, "false")


def posted(body: bytes) -> Request:
    async def receive() -> Message:
        return {"type": "http.request", "body": body}

    return Request({"type": "http", "headers": [(b"authorization", f"Bearer {ALICE}".encode())]}, receive)


# --- whose it is ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/runs/{}"),
        ("GET", "/v1/runs/{}/events"),
        ("GET", "/v1/runs/{}/wait"),
        ("POST", "/v1/runs/{}/cancel"),
        ("GET", "/v1/chat/completions/{}"),
        ("GET", "/v1/chat/completions/{}?stream=true"),
    ],
)
async def test_to_another_credential_a_run_is_not_there(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient, ledger: Ledger, method: str, path: str
) -> None:
    run_id = await made(alice)
    theirs = await bob.request(method, path.format(run_id))
    missing = await bob.request(method, path.format("chatcmpl_none"))
    assert problem(theirs) == problem(missing) == (404, "run_not_found", None)
    assert theirs.text.replace(run_id, "") == missing.text.replace("chatcmpl_none", "")
    record = await ledger.record(run_id)
    assert record is not None
    assert record.cancel is None
    assert (await bob.get("/v1/runs")).json()["data"] == []


@pytest.mark.parametrize("path", ["", "/r", "/r/events", "/r/wait"])
async def test_without_a_credential_nothing_is_shown(api: Api, path: str) -> None:
    async with httpx.AsyncClient(base_url=api.url) as stranger:
        answer = await stranger.get(f"/v1/runs{path}")
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert (await stranger.post("/v1/runs", json={"input": "Hi"})).status_code == 401


# --- lists ------------------------------------------------------------------------------------------------------------


async def pages(client: httpx.AsyncClient, **params: str | int) -> list[list[str]]:
    """Ids of all runs, page by page."""
    found: list[list[str]] = []
    while True:
        page = (await client.get("/v1/runs", params=params)).json()
        found.append([run["id"] for run in page["data"]])
        if page["next_cursor"] is None:
            return found
        params["cursor"] = page["next_cursor"]


def flat(found: list[list[str]]) -> list[str]:
    return [run_id for page in found for run_id in page]


async def test_a_list_is_paged_from_the_newest_on(alice: httpx.AsyncClient, ledger: Ledger) -> None:
    """More runs than the script reads in one step."""
    runs = [a_run() for _ in range(230)]
    for run in runs:
        await submit(ledger, run)
        await submit(ledger, a_run(owner="bob"))
    newest_first = [run.run_id for run in reversed(runs)]
    found = await pages(alice, limit=100)
    assert [len(page) for page in found] == [100, 100, 30]
    assert flat(found) == newest_first
    assert flat(await pages(alice, limit=23)) == newest_first
    assert len((await pages(alice))[0]) == 20


async def test_a_run_that_comes_meanwhile_moves_no_page(alice: httpx.AsyncClient, ledger: Ledger) -> None:
    runs = [a_run() for _ in range(4)]
    for run in runs:
        await submit(ledger, run)
    first = (await alice.get("/v1/runs", params={"limit": 2})).json()
    await submit(ledger, a_run())
    rest = await pages(alice, limit=2, cursor=first["next_cursor"])
    assert flat(rest) == [runs[1].run_id, runs[0].run_id]


async def test_a_list_can_be_narrowed(alice: httpx.AsyncClient, stage: Stage) -> None:
    await stage.serve({"main": Policy(), "beta": Policy()})
    done, mine, betas = await made(alice), await made(alice, session="mine"), await made(alice, agent="beta")
    await (await stage.take()).end()
    assert await pages(alice, state="completed") == [[done]]
    assert await pages(alice, state="queued") == [[betas, mine]]
    assert await pages(alice, agent="beta") == [[betas]]
    assert await pages(alice, session="mine") == [[mine]]
    assert await pages(alice, session="mine", state="completed") == [[]]


async def test_what_a_narrow_list_passes_over_does_not_end_it(alice: httpx.AsyncClient, ledger: Ledger) -> None:
    await submit(ledger, first := a_run("mine"))
    for _ in range(250):
        await submit(ledger, a_run())
    assert flat(await pages(alice, session="mine")) == [first.run_id]


async def test_a_run_that_is_gone_is_passed_over(broker: Broker, alice: httpx.AsyncClient) -> None:
    stays, goes = await made(alice), await made(alice)
    with looking(broker) as look:
        look.delete(KEYS.run(goes))
    assert await pages(alice) == [[stays]]


async def test_a_list_has_no_texts(alice: httpx.AsyncClient, stage: Stage) -> None:
    await made(alice)
    await stage.take("Hello")
    (view,) = (await alice.get("/v1/runs")).json()["data"]
    assert (view["state"], view["text"], view["last_event"]) == ("running", None, None)


async def test_a_list_reads_nothing_of_what_was_asked(broker: Broker, alice: httpx.AsyncClient) -> None:
    """A hundred runs with pictures are a hundred megabytes."""
    run_id = await made(alice)
    before = (await alice.get("/v1/runs")).json()
    with looking(broker) as look:
        look.hset(KEYS.run(run_id), "spec", "not to be read")
    assert (await alice.get("/v1/runs")).json() == before
    assert (before["data"][0]["id"], before["data"][0]["background"]) == (run_id, True)


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"state": "asleep"}, "state"),
        ({"state": ""}, "state"),
        ({"limit": "0"}, "limit"),
        ({"limit": "101"}, "limit"),
        ({"limit": "ten"}, "limit"),
        ({"cursor": "x"}, "cursor"),
        ({"cursor": "(1"}, "cursor"),
    ],
)
async def test_what_is_wrong_with_a_list_is_named(alice: httpx.AsyncClient, params: dict[str, str], param: str) -> None:
    assert problem(await alice.get("/v1/runs", params=params)) == (400, "invalid_value", param)


# --- events -----------------------------------------------------------------------------------------------------------


async def test_events_are_live_at_every_process(
    alice: httpx.AsyncClient, elsewhere: httpx.AsyncClient, stage: Stage
) -> None:
    run_id = await made(alice)
    async with feed(elsewhere, f"/v1/runs/{run_id}/events") as events:
        assert events.answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert events.answer.headers["x-run-id"] == run_id
        first = await events.next()
        assert (first.id, first.event, json.loads(first.data)["data"]["phase"]) == ("1", "lifecycle", "queued")
        attempt = await stage.take()
        assert json.loads((await events.next()).data)["data"]["phase"] == "start"
        for word in ("one", "two"):
            await attempt.say(word)
            assert json.loads((await events.next()).data)["data"]["delta"] == word
        await attempt.end()
        (last,) = await events.rest()
        assert (last.id, json.loads(last.data)["data"]["phase"]) == ("5", "end")


@pytest.mark.parametrize("live", [True, False])
async def test_a_reader_goes_on_where_it_was_at_another_process(
    alice: httpx.AsyncClient, elsewhere: httpx.AsyncClient, stage: Stage, live: bool
) -> None:
    """1 is queued, 2 the start, 3 to 5 the words, 6 the end."""
    run_id = await made(alice)
    attempt = await stage.take("one", "two")
    if not live:
        await attempt.say("three")
        await attempt.end()
    url = f"/v1/runs/{run_id}/events"
    async with (
        feed(elsewhere, url, headers={"Last-Event-ID": "3"}) as by_header,
        feed(elsewhere, url, after=2) as by_query,
        feed(elsewhere, url, headers={"Last-Event-ID": "4"}, after=1) as by_both,
    ):
        if live:
            assert json.loads((await by_header.next()).data)["data"]["delta"] == "two"
            await attempt.say("three")
            await attempt.end()
        assert numbers(await by_header.rest()) == ([5, 6] if live else [4, 5, 6])
        assert numbers(await by_query.rest()) == [3, 4, 5, 6]
        assert numbers(await by_both.rest()) == [5, 6]


async def test_at_the_end_nothing_is_left(alice: httpx.AsyncClient, stage: Stage) -> None:
    """204 is what stops a browser's EventSource from coming back."""
    run_id = await made(alice)
    attempt = await stage.take()
    await attempt.end()
    url = f"/v1/runs/{run_id}/events"
    assert (await alice.get(url, headers={"Last-Event-ID": "3"})).status_code == 204
    assert (await alice.get(url, params={"after": 3})).status_code == 204
    async with feed(alice, url, after=2) as events:
        assert numbers(await events.rest()) == [3]


async def test_a_place_that_does_not_exist_is_told(alice: httpx.AsyncClient) -> None:
    url = f"/v1/runs/{await made(alice)}/events"
    for after in ("2", "-1", "x", "1.5"):
        assert problem(await alice.get(url, params={"after": after})) == (400, "invalid_value", "after")
        by_header = await alice.get(url, headers={"Last-Event-ID": after})
        assert problem(by_header) == (400, "invalid_value", "Last-Event-ID")


async def test_a_place_before_what_is_kept_is_a_gap(broker: Broker, alice: httpx.AsyncClient, stage: Stage) -> None:
    run_id = await made(alice)
    attempt = await stage.take("one", "two", "three")
    await attempt.end()
    with looking(broker) as look:
        look.xtrim(KEYS.stream(run_id), maxlen=2, approximate=False)
    url = f"/v1/runs/{run_id}/events"
    async with feed(alice, url, after=1) as events:
        (only,) = await events.rest()
        assert (only.event, only.id) == ("error", None)
        assert json.loads(only.data)["error"]["code"] == "events_gone"
    async with feed(alice, url, after=4) as events:
        assert numbers(await events.rest()) == [5, 6]


async def test_events_are_whole_while_their_log_is_compacted(
    alice: httpx.AsyncClient, stage: Stage, log: EventLog
) -> None:
    """Again and again, between any two looks of those who read it."""
    run_id, last = await made(alice), 2 * PAGE + 9
    attempt = await stage.take(*map(str, range(last - 3)))
    await attempt.end()

    async def compact() -> None:
        while True:
            await log.compact(run_id)

    async def read(after: int) -> None:
        async with feed(alice, f"/v1/runs/{run_id}/events", after=after) as events:
            assert numbers(await events.rest()) == list(range(after + 1, last + 1))

    async with anyio.create_task_group() as compacting:
        compacting.start_soon(compact)
        async with anyio.create_task_group() as readers:
            for after in (0, 7, PAGE, last - 1):
                readers.start_soon(read, after)
        compacting.cancel_scope.cancel()


# --- wait -------------------------------------------------------------------------------------------------------------


async def test_waiting_ends_with_the_run(alice: httpx.AsyncClient, elsewhere: httpx.AsyncClient, stage: Stage) -> None:
    run_id = await made(alice)
    waiting = asyncio.create_task(elsewhere.get(f"/v1/runs/{run_id}/wait"))
    attempt = await stage.take("Hello")
    assert not waiting.done()
    await attempt.end()
    view = (await waiting).json()
    assert (view["state"], view["text"]) == ("completed", "Hello")


async def test_waiting_for_what_has_ended_is_no_waiting(alice: httpx.AsyncClient, stage: Stage) -> None:
    run_id = await made(alice)
    await (await stage.take()).end()
    assert (await alice.get(f"/v1/runs/{run_id}/wait")).json()["state"] == "completed"


async def test_when_the_time_is_up_the_run_is_shown_as_it_is(alice: httpx.AsyncClient, stage: Stage) -> None:
    run_id = await made(alice)
    await stage.take("half")
    view = (await alice.get(f"/v1/runs/{run_id}/wait", params={"timeout": 0})).json()
    assert (view["state"], view["text"]) == ("running", "half")


@pytest.mark.parametrize("seconds", ["-1", "301", "1.5", "x"])
async def test_how_long_cannot_be_waited(alice: httpx.AsyncClient, seconds: str) -> None:
    answer = await alice.get(f"/v1/runs/{await made(alice)}/wait", params={"timeout": seconds})
    assert problem(answer) == (400, "invalid_value", "timeout")


async def test_who_waits_reads_and_who_gives_up_waiting_has_left(
    api: Api, broker: Broker, alice: httpx.AsyncClient, stage: Stage
) -> None:
    run_id = await made(alice, background=False)
    await stage.take()
    with looking(broker) as look:
        look.zadd(ATTENDED, {run_id: 0})
        async with api.client() as impatient:
            waiting = asyncio.create_task(impatient.get(f"/v1/runs/{run_id}/wait"))
            await wait_until(lambda: look.zscore(ATTENDED, run_id), "the ledger counts the reader that waits")
            look.zadd(ATTENDED, {run_id: FOREVER})
            waiting.cancel()
            await asyncio.wait([waiting])
        await wait_until(lambda: look.zscore(ATTENDED, run_id) != FOREVER, "the ledger counts no reader that waits")


# --- cancel -----------------------------------------------------------------------------------------------------------


async def test_a_run_that_waits_is_cancelled_at_once_and_never_starts(alice: httpx.AsyncClient, stage: Stage) -> None:
    run_id = await made(alice)
    answer = await alice.post(f"/v1/runs/{run_id}/cancel")
    assert answer.status_code == 202
    assert (answer.json()["state"], answer.json()["cancel_requested"]) == ("cancelled", "user")
    assert await claim(stage.ledger) == []
    view = await shown(alice, run_id)
    assert (view["state"], view["attempt"], view["started_ms"]) == ("cancelled", 0, None)
    assert view["ended_ms"]


async def test_a_run_that_waits_for_its_session_is_cancelled_and_the_next_one_moves_up(
    alice: httpx.AsyncClient, stage: Stage
) -> None:
    first, second, third = [await made(alice, session="mine") for _ in range(3)]
    attempt = await stage.take()
    assert (await alice.post(f"/v1/runs/{second}/cancel")).json()["state"] == "cancelled"
    assert (await shown(alice, first))["state"] == "running"
    await attempt.end()
    assert (await stage.take()).run_id == third


async def test_a_running_run_is_asked_to_stop(broker: Broker, alice: httpx.AsyncClient, stage: Stage) -> None:
    run_id = await made(alice)
    attempt = await stage.take("half")
    answer = await alice.post(f"/v1/runs/{run_id}/cancel")
    assert answer.status_code == 202
    assert (answer.json()["state"], answer.json()["cancel_requested"]) == ("running", "user")
    await attempt.end(Cancelled(reason=StopReason.USER))
    view = await shown(alice, run_id)
    assert (view["state"], view["text"]) == ("cancelled", "half")


async def test_cancelling_twice_keeps_the_first_reason(alice: httpx.AsyncClient, stage: Stage) -> None:
    run_id = await made(alice)
    await stage.take()
    await stage.ledger.cancel(run_id, StopReason.TIMEOUT)
    answer = await alice.post(f"/v1/runs/{run_id}/cancel")
    assert (answer.status_code, answer.json()["cancel_requested"]) == (202, "timeout")


async def test_what_has_ended_cannot_be_cancelled_and_that_is_no_error(alice: httpx.AsyncClient, stage: Stage) -> None:
    run_id = await made(alice)
    await (await stage.take("Hello")).end()
    answer = await alice.post(f"/v1/runs/{run_id}/cancel")
    assert (answer.status_code, answer.json()["state"]) == (200, "completed")
    assert answer.json()["cancel_requested"] is None


async def test_a_run_whose_worker_has_vanished_is_cancelled_without_any(
    broker: Broker, alice: httpx.AsyncClient, stage: Stage
) -> None:
    """The note stays. The process that finds the lease over ends the run by it."""
    run_id = await made(alice)
    await stage.take("half")
    assert (await alice.post(f"/v1/runs/{run_id}/cancel")).json()["state"] == "running"
    with looking(broker) as look:
        end_lease(look, run_id)
    view = (await alice.get(f"/v1/runs/{run_id}/wait")).json()
    assert (view["state"], view["text"], view["error"]) == ("cancelled", "half", None)


# --- runs without a worker, runs without a reader ---------------------------------------------------------------------


async def test_a_run_that_nobody_serves_ends_without_a_worker(broker: Broker, alice: httpx.AsyncClient) -> None:
    run_id = await made(alice)
    with looking(broker) as look:
        end_patience(look, run_id)
        look.zadd(KEYS.queue, {run_id: 1})
    view = (await alice.get(f"/v1/runs/{run_id}/wait")).json()
    assert (view["state"], view["error"]["code"]) == ("failed", "queue_timeout")


async def test_of_runs_only_those_in_the_foreground_end_with_their_readers(
    broker: Broker, alice: httpx.AsyncClient, stage: Stage, pipe: Pipe
) -> None:
    await stage.serve({"main": Policy(), "tough": Policy(on_disconnect="continue")})
    keyed = {"Idempotency-Key": "k"}
    await made(alice)
    await made(alice, background=False, agent="tough")
    await alice.post("/v1/runs", json={"input": "Hi", "background": False}, headers=keyed)
    foreground = await made(alice, background=False)
    with looking(broker) as look:
        assert members(look, ATTENDED) == [foreground]
        look.zadd(ATTENDED, {foreground: 0})
    assert await ReaderLeases(pipe, KEYS).abandon() == [foreground]


async def test_a_reader_that_leaves_starts_the_grace(
    api: Api, broker: Broker, alice: httpx.AsyncClient, stage: Stage
) -> None:
    run_id = await made(alice, background=False)
    await stage.take()
    with looking(broker) as look:
        async with api.client() as reader, feed(reader, f"/v1/runs/{run_id}/events") as events:
            await events.next()
            look.zadd(ATTENDED, {run_id: FOREVER})
        await wait_until(lambda: look.zscore(ATTENDED, run_id) != FOREVER, "it was noticed that the reader has left")
