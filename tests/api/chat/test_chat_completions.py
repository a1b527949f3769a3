"""Chat completions over HTTP, and coming back to one, with a worker that the test plays."""

from __future__ import annotations

import asyncio
import json

import anyio
import httpx
import httpx2  # what the official client is built on
import openai
import pytest

from shared.ledger.ledger import Ledger
from shared.ledger.reader_leases import ReaderLeases
from shared.redis.pipe import Pipe
from shared.run.events import Cancelled, Failed, StopReason
from shared.run.run import Policy
from tests.api.running import ALICE, Api, Feed, chat, feed, problem, streamed_chat, text_of
from tests.api.stage import Stage
from tests.broker import KEYS, Broker, looking
from tests.runs import claim, members
from tests.wait import wait_until

CHAT = "/v1/chat/completions"
ATTENDED = KEYS.prefixes()["attended"]
FOREVER = 1e15  # a time by which no run is abandoned, and that no process sets


def content(answer: httpx.Response) -> str:
    assert answer.status_code == 200, answer.text
    text = answer.json()["choices"][0]["message"]["content"]
    assert isinstance(text, str)
    return text


def code(data: str) -> object:
    """Of the error in a chunk."""
    return json.loads(data)["error"]["code"]


async def rest_of(stream: Feed) -> tuple[str, str]:
    """The text that is left of a stream, and the last thing before the mark of its end."""
    *chunks, done = await stream.rest()
    assert done.data == "[DONE]"
    if "error" in chunks[-1].data:
        return text_of(chunks[:-1]), str(code(chunks[-1].data))
    return text_of(chunks), str(json.loads(chunks[-1].data)["choices"])


FINISHED = "[{'index': 0, 'delta': {}, 'finish_reason': 'stop'}]"


# --- coming back ------------------------------------------------------------------------------------------------------


async def test_an_answer_can_be_had_again_at_every_process(
    alice: httpx.AsyncClient, elsewhere: httpx.AsyncClient, stage: Stage
) -> None:
    asking = asyncio.create_task(alice.post(CHAT, json=chat(model="gpt-4o")))
    await (await stage.take("Hello")).end()
    first = await asking
    url = f"{CHAT}/{first.json()['id']}"
    again = await elsewhere.get(url)
    assert (again.json(), again.headers["x-run-id"]) == (first.json(), first.json()["id"])
    async with feed(elsewhere, url, stream="true") as stream:
        assert (await stream.next()).json()["choices"][0]["delta"] == {"role": "assistant"}
        *chunks, usage, done = await stream.rest()
        assert (text_of(chunks), usage.json()["choices"], done.data) == ("Hello", [], "[DONE]")


async def test_a_live_run_is_waited_for(alice: httpx.AsyncClient, elsewhere: httpx.AsyncClient, stage: Stage) -> None:
    async with streamed_chat(alice, chat()) as stream:
        attempt = await stage.take("Hel")
        asking = asyncio.create_task(elsewhere.get(f"{CHAT}/{attempt.run_id}"))
        await attempt.say("lo")
        await attempt.end()
        assert content(await asking) == "Hello"
        assert text_of(await stream.rest()) == "Hello"


@pytest.mark.parametrize("live", [True, False])
async def test_a_stream_that_was_cut_goes_on_where_it_was(
    alice: httpx.AsyncClient, elsewhere: httpx.AsyncClient, stage: Stage, live: bool
) -> None:
    async with streamed_chat(alice, chat()) as stream:
        attempt = await stage.take("one ")
        assert [(await stream.next()).json()["choices"][0]["delta"] for _ in range(2)][1] == {"content": "one "}
    await attempt.say("two ")
    if not live:
        await attempt.say("three")
        await attempt.end()
    # 1 is queued, 2 the start, 3 the first word.
    async with feed(elsewhere, f"{CHAT}/{attempt.run_id}", stream="true", starting_after=3) as stream:
        second = (await stream.next()).json()
        assert (second["seq"], second["choices"][0]["delta"]["content"]) == (4, "two ")
        if live:
            await attempt.say("three")
            await attempt.end()
        *chunks, usage, done = await stream.rest()
        assert (text_of(chunks), [chunk.json()["seq"] for chunk in chunks]) == ("three", [5, 6])
        assert (usage.json()["choices"], done.data) == ([], "[DONE]")


async def test_why_a_run_failed_can_be_had_again(alice: httpx.AsyncClient, stage: Stage) -> None:
    asking = asyncio.create_task(alice.post(CHAT, json=chat()))
    attempt = await stage.take("half")
    await attempt.end(Failed(code="agent_failed", message="No."))
    first, again = await asking, await alice.get(f"{CHAT}/{attempt.run_id}")
    assert problem(first) == problem(again) == (500, "agent_failed", None)
    assert first.headers["x-should-retry"] == again.headers["x-should-retry"] == "false"


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"stream": "yes"}, "stream"),
        ({"starting_after": "-1"}, "starting_after"),
        ({"stream": "true", "starting_after": "x"}, "starting_after"),
        ({"stream": "true", "starting_after": "4"}, "starting_after"),
    ],
)
async def test_what_is_wrong_with_coming_back_is_named(
    alice: httpx.AsyncClient, stage: Stage, query: dict[str, str], param: str
) -> None:
    """A place that does not exist yet is wrong, too: the client has it from somewhere else."""
    run_id = (await alice.post("/v1/runs", json={"input": "Hi"})).json()["id"]
    await (await stage.take()).end()
    answer = await alice.get(f"{CHAT}/{run_id}", params=query)
    assert problem(answer) == (400, "invalid_value", param)


async def test_a_place_before_what_is_kept_is_a_gap(broker: Broker, alice: httpx.AsyncClient, stage: Stage) -> None:
    run_id = (await alice.post("/v1/runs", json={"input": "Hi"})).json()["id"]
    await (await stage.take("one", "two", "three")).end()
    with looking(broker) as look:
        look.xtrim(KEYS.stream(run_id), maxlen=2, approximate=False)
    async with feed(alice, f"{CHAT}/{run_id}", stream="true", starting_after=3) as stream:
        assert await rest_of(stream) == ("", "events_gone")
    assert problem(await alice.get(f"{CHAT}/{run_id}")) == (503, "events_gone", None)


# --- once -------------------------------------------------------------------------------------------------------------


async def test_a_key_attaches_to_the_live_run_at_another_process(
    alice: httpx.AsyncClient, elsewhere: httpx.AsyncClient, stage: Stage
) -> None:
    key = {"Idempotency-Key": "k"}
    async with streamed_chat(alice, chat(), headers=key) as first:
        attempt = await stage.take("one ")
        async with streamed_chat(elsewhere, chat(), headers=key) as second:
            asking = asyncio.create_task(elsewhere.post(CHAT, json=chat(), headers=key))
            assert second.answer.headers["x-run-id"] == attempt.run_id
            await attempt.say("two")
            await attempt.end()
            assert await rest_of(first) == await rest_of(second) == ("one two", FINISHED)
            assert content(await asking) == "one two"
    assert content(await alice.post(CHAT, json=chat(), headers=key)) == "one two"  # a replay
    assert await claim(stage.ledger) == []


async def test_a_key_with_another_body_is_a_conflict(alice: httpx.AsyncClient, stage: Stage) -> None:
    key = {"Idempotency-Key": "k"}
    asking = asyncio.create_task(alice.post(CHAT, json=chat(), headers=key))
    await (await stage.take()).end()
    await asking
    answer = await alice.post(CHAT, json=chat("Ho"), headers=key)
    assert (problem(answer), answer.headers["x-should-retry"]) == ((409, "idempotency_key_reused", None), "false")


@pytest.mark.parametrize("count", [None, "0"])
async def test_without_a_key_a_first_try_is_a_run_of_its_own(
    alice: httpx.AsyncClient, stage: Stage, count: str | None
) -> None:
    headers = {} if count is None else {"x-stainless-retry-count": count}
    ids = []
    for _ in range(2):
        asking = asyncio.create_task(alice.post(CHAT, json=chat(), headers=headers))
        await (await stage.take()).end()
        ids.append((await asking).json()["id"])
    assert len(set(ids)) == 2


async def test_a_retry_joins_the_run_of_the_first_try(
    alice: httpx.AsyncClient, elsewhere: httpx.AsyncClient, stage: Stage
) -> None:
    retry = {"x-stainless-retry-count": "1"}
    async with streamed_chat(alice, chat()) as first:
        attempt = await stage.take("one ")
        asking = asyncio.create_task(elsewhere.post(CHAT, json=chat(), headers=retry))
        other = asyncio.create_task(elsewhere.post(CHAT, json=chat("Ho"), headers=retry))
        another = await stage.take("Ho!")
        await another.end()
        assert content(await other) == "Ho!"
        await attempt.say("two")
        await attempt.end()
        assert content(await asking) == "one two"
        assert await rest_of(first) == ("one two", FINISHED)


async def test_a_first_try_joins_the_run_of_the_retry_that_has_overtaken_it_once(
    alice: httpx.AsyncClient, elsewhere: httpx.AsyncClient, stage: Stage
) -> None:
    """The same question asked once more is another one."""
    first, retry = {"x-stainless-retry-count": "0"}, {"x-stainless-retry-count": "1"}
    asking = asyncio.create_task(elsewhere.post(CHAT, json=chat(), headers=retry))
    await (await stage.take("one")).end()
    assert content(await asking) == content(await alice.post(CHAT, json=chat(), headers=first)) == "one"
    once_more = asyncio.create_task(alice.post(CHAT, json=chat(), headers=first))
    await (await stage.take("two")).end()
    assert content(await once_more) == "two"


# --- a client that leaves ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_leaves_starts_the_grace_and_one_that_comes_back_ends_it(
    api: Api, elsewhere: httpx.AsyncClient, broker: Broker, stage: Stage, stream: bool
) -> None:
    async with api.client() as client:
        asking = asyncio.create_task(client.post(CHAT, json=chat(stream=stream)))
        attempt = await stage.take("Hel")
        with looking(broker) as look:
            look.zadd(ATTENDED, {attempt.run_id: FOREVER})
            asking.cancel()
            await asyncio.wait([asking])
            await wait_until(lambda: look.zscore(ATTENDED, attempt.run_id) != FOREVER, "the client has left")
            look.zadd(ATTENDED, {attempt.run_id: 0})
            back = asyncio.create_task(elsewhere.get(f"{CHAT}/{attempt.run_id}"))
            await wait_until(lambda: look.zscore(ATTENDED, attempt.run_id), "the client is back")
    assert await ReaderLeases(stage.pipe, KEYS).abandon() == []
    await attempt.say("lo")
    await attempt.end()
    assert content(await back) == "Hello"


async def test_an_abandoned_run_is_stopped_and_says_why(
    broker: Broker, alice: httpx.AsyncClient, stage: Stage, pipe: Pipe
) -> None:
    async with streamed_chat(alice, chat()) as stream:
        attempt = await stage.take("half")
        with looking(broker) as look:
            look.zadd(ATTENDED, {attempt.run_id: 0})
        assert await ReaderLeases(pipe, KEYS).abandon() == [attempt.run_id]
        await attempt.end(Cancelled(reason=StopReason.DISCONNECT))
        assert await rest_of(stream) == ("half", "cancelled")
    assert problem(await alice.get(f"{CHAT}/{attempt.run_id}")) == (409, "cancelled", None)


@pytest.mark.parametrize(
    ("agent", "headers", "watched"),
    [("main", {}, True), ("tough", {}, False), ("main", {"Idempotency-Key": "k"}, False)],
)
async def test_which_runs_end_with_their_readers(
    broker: Broker, alice: httpx.AsyncClient, stage: Stage, agent: str, headers: dict[str, str], watched: bool
) -> None:
    await stage.serve({"main": Policy(), "tough": Policy(on_disconnect="continue")})
    async with streamed_chat(alice, chat(model=f"clawdbot:{agent}"), headers=headers):
        attempt = await stage.take()
        with looking(broker) as look:
            assert members(look, ATTENDED) == ([attempt.run_id] if watched else [])


async def test_no_run_that_has_ended_is_watched(broker: Broker, alice: httpx.AsyncClient, stage: Stage) -> None:
    async with streamed_chat(alice, chat()) as stream:
        await (await stage.take()).end()
        await stream.rest()
    await alice.get(f"{CHAT}/{stream.answer.headers['x-run-id']}")
    with looking(broker) as look:
        assert members(look, ATTENDED) == []


# --- a client that does not wait for ever -----------------------------------------------------------------------------


async def test_a_client_is_told_before_its_own_time_is_up_and_its_run_is_stopped(
    alice: httpx.AsyncClient, stage: Stage, ledger: Ledger
) -> None:
    asking = asyncio.create_task(alice.post(CHAT, json=chat(), headers={"x-stainless-read-timeout": "0.3"}))
    attempt = await stage.take()
    answer = await asking
    assert (problem(answer), answer.headers["x-should-retry"]) == ((504, "client_timeout", None), "false")
    assert "0.3 s" in answer.json()["error"]["message"]
    record = await ledger.record(attempt.run_id)
    assert record is not None
    assert record.cancel == "timeout"


@pytest.mark.parametrize("at_another", [False, True])
async def test_a_run_that_somebody_else_reads_is_not_stopped(
    broker: Broker, alice: httpx.AsyncClient, elsewhere: httpx.AsyncClient, stage: Stage, at_another: bool
) -> None:
    """Wherever that is. It ends with its last reader, as ever."""
    impatient = {"x-stainless-retry-count": "1", "x-stainless-read-timeout": "0.3"}
    async with streamed_chat(alice, chat()) as stream:
        attempt = await stage.take("one ")
        answer = await (elsewhere if at_another else alice).post(CHAT, json=chat(), headers=impatient)
        assert problem(answer) == (504, "client_timeout", None)
        record = await stage.ledger.record(attempt.run_id)
        assert record is not None
        assert record.cancel is None
        with looking(broker) as look:
            assert members(look, ATTENDED) == [attempt.run_id]
        await attempt.say("two")
        await attempt.end()
        assert await rest_of(stream) == ("one two", FINISHED)


async def test_of_a_run_that_goes_on_only_the_waiting_ends(
    alice: httpx.AsyncClient, stage: Stage, ledger: Ledger
) -> None:
    headers = {"x-stainless-read-timeout": "0.3", "Idempotency-Key": "k"}
    asking = asyncio.create_task(alice.post(CHAT, json=chat(), headers=headers))
    attempt = await stage.take("Hello")
    assert problem(await asking) == (504, "client_timeout", None)
    record = await ledger.record(attempt.run_id)
    assert record is not None
    assert record.cancel is None
    await attempt.end()
    assert content(await alice.post(CHAT, json=chat(), headers=headers)) == "Hello"


# --- a server that stops ----------------------------------------------------------------------------------------------


async def test_readers_of_a_server_that_stops_are_told_and_go_on_at_another(
    api: Api, alice: httpx.AsyncClient, elsewhere: httpx.AsyncClient, stage: Stage
) -> None:
    async with streamed_chat(alice, chat()) as stream:
        attempt = await stage.take("one ")
        events = f"/v1/runs/{attempt.run_id}/events"
        async with feed(alice, events) as own, feed(elsewhere, events, after=2) as other:
            waiting = asyncio.create_task(alice.get(f"/v1/runs/{attempt.run_id}/wait"))
            asking = asyncio.create_task(alice.get(f"{CHAT}/{attempt.run_id}"))
            assert (await other.next()).json()["data"]["delta"] == "one "
            api.application.end_streams()
            assert await rest_of(stream) == ("one ", "server_restarting")
            *_, last = await own.rest()
            assert (last.event, code(last.data)) == ("error", "server_restarting")
            assert (await waiting).json()["state"] == "running"
            assert problem(await asking) == (503, "server_restarting", None)
            await attempt.say("two")
            await attempt.end()
            assert [event.id for event in await other.rest()] == ["4", "5"]
    assert content(await elsewhere.get(f"{CHAT}/{attempt.run_id}")) == "one two"


@pytest.mark.parametrize(
    ("headers", "again"),
    [({}, "false"), ({"x-stainless-retry-count": "0"}, "true"), ({"Idempotency-Key": "k"}, "true")],
)
async def test_who_would_join_the_run_is_asked_to_try_again(
    api: Api, alice: httpx.AsyncClient, stage: Stage, headers: dict[str, str], again: str
) -> None:
    asking = asyncio.create_task(alice.post(CHAT, json=chat(), headers=headers))
    attempt = await stage.take()
    api.application.end_streams()
    answer = await asking
    assert problem(answer) == (503, "server_restarting", None)
    assert (answer.headers["x-run-id"], answer.headers["x-should-retry"]) == (attempt.run_id, again)


class Router(httpx2.AsyncBaseTransport):
    """Sends each request to the next process, as a load balancer does while one of them goes."""

    def __init__(self, *urls: str) -> None:
        self._urls = [httpx2.URL(url) for url in urls]
        self._http = httpx2.AsyncHTTPTransport()
        self.tries: list[str] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        process = self._urls[len(self.tries)]
        self.tries.append(request.headers["x-stainless-retry-count"])
        request.url = request.url.copy_with(host=process.host, port=process.port)
        return await self._http.handle_async_request(request)

    async def aclose(self) -> None:
        await self._http.aclose()


async def test_the_official_client_gets_its_answer_from_another_process_and_the_agent_runs_once(
    api: Api, other_api: Api, stage: Stage
) -> None:
    router = Router(api.url, other_api.url)
    async with (
        openai.DefaultAsyncHttpxClient(transport=router) as http,
        openai.AsyncOpenAI(base_url=f"{api.url}/v1", api_key=ALICE, http_client=http) as client,
    ):
        asking = asyncio.create_task(
            client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "Hi"}])
        )
        attempt = await stage.take("Hel")
        api.application.end_streams()
        await wait_until(lambda: len(router.tries) == 2, "the client has tried again")
        await attempt.say("lo")
        await attempt.end()
        answer = await asking
    assert (answer.id, answer.choices[0].message.content) == (attempt.run_id, "Hello")
    assert router.tries == ["0", "1"]
    assert await claim(stage.ledger) == []


# --- late readers -----------------------------------------------------------------------------------------------------


async def test_events_that_were_published_to_nobody_are_read_from_the_stream(
    broker: Broker, alice: httpx.AsyncClient, stage: Stage
) -> None:
    """A reader that joins late has missed the messages that were published before."""
    async with streamed_chat(alice, chat()) as stream:
        attempt = await stage.take("one ", "two ")
        async with anyio.create_task_group() as readers:
            for _ in range(3):
                readers.start_soon(_reads_all, alice, attempt.run_id)
            await attempt.say("three")
            await attempt.end()
        assert await rest_of(stream) == ("one two three", FINISHED)


async def _reads_all(client: httpx.AsyncClient, run_id: str) -> None:
    async with feed(client, f"/v1/runs/{run_id}/events") as events:
        assert [int(event.id or 0) for event in await events.rest()] == [1, 2, 3, 4, 5, 6]
