from __future__ import annotations

import httpx
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families as families
from redis.asyncio import Redis
from starlette.applications import Starlette
from starlette.routing import Route

from api.fleet.agent_directory import AgentDirectory
from api.fleet.api_metrics import ApiMetrics
from api.fleet.metrics_page import MetricsPage
from api.http.auth import LoopbackOnly
from shared.ledger.presence import Presence
from shared.ledger.queue_depth import QueueDepth
from shared.run.events import StopReason
from shared.run.run import Policy
from tests.api.running import ALICE, MONA, OLGA, Api, chat, running_api, streamed_chat
from tests.api.served import served
from tests.api.stage import Stage
from tests.broker import KEYS, Broker
from tests.lossy import LossyPipe
from tests.wait import wait_until

FLEET = ("waiting_runs", "in_line_runs", "running_runs", "oldest_wait_seconds", "workers", "slots")


class Numbers:
    """One scrape."""

    def __init__(self, answer: httpx.Response) -> None:
        answer.raise_for_status()
        self._samples = [sample for family in families(answer.text) for sample in family.samples]

    def value(self, name: str, **labels: str) -> float | None:
        found = [one.value for one in self._samples if one.name == f"runrelay_{name}" and one.labels == labels]
        return found[0] if found else None

    def named(self, name: str) -> list[dict[str, str]]:
        return [one.labels for one in self._samples if one.name == f"runrelay_{name}"]


async def scraped(client: httpx.AsyncClient) -> Numbers:
    return Numbers(await client.get("/metrics", headers={"Authorization": f"Bearer {MONA}"}))


async def test_every_process_says_the_same_of_the_whole_service(
    alice: httpx.AsyncClient, elsewhere: httpx.AsyncClient, stage: Stage
) -> None:
    await alice.post("/v1/runs", json={"input": "Hi"})
    await stage.take("Hello")
    for session in ("a", "b", "b"):
        await elsewhere.post("/v1/runs", json={"input": "Hi", "session": session})
    for client in (alice, elsewhere):
        seen = await scraped(client)
        assert seen.value("running_runs", agent="main") == 1
        assert seen.value("waiting_runs", agent="main") == 2
        assert seen.value("in_line_runs", agent="main") == 1
        assert (seen.value("oldest_wait_seconds", agent="main") or 0) > 0
        assert seen.value("workers", state="serving") == 1
        assert seen.value("workers", state="silent") == 0
        assert seen.value("slots", state="serving") == 9
        assert seen.value("redis_up") == 1


async def test_what_a_process_did_is_said_by_that_process_alone(
    alice: httpx.AsyncClient, elsewhere: httpx.AsyncClient
) -> None:
    for client in (alice, alice, elsewhere):
        await client.post("/v1/runs", json={"input": "Hi"})
    assert (await scraped(alice)).value("runs_accepted_total", agent="main") == 2
    assert (await scraped(elsewhere)).value("runs_accepted_total", agent="main") == 1


async def test_a_request_that_joins_a_run_has_accepted_none(alice: httpx.AsyncClient) -> None:
    for _ in range(2):
        await alice.post("/v1/runs", json={"input": "Hi"}, headers={"Idempotency-Key": "k"})
    assert (await scraped(alice)).value("runs_accepted_total", agent="main") == 1


async def test_an_agent_that_nothing_waits_for_is_there_with_zeros(alice: httpx.AsyncClient) -> None:
    seen = await scraped(alice)
    assert seen.value("waiting_runs", agent="main") == 0
    assert seen.value("oldest_wait_seconds", agent="main") == 0


async def test_ids_that_clients_make_up_are_one_label(alice: httpx.AsyncClient, stage: Stage) -> None:
    await stage.serve({"main": Policy(), "*": Policy()})
    for number in range(3):
        assert (await alice.post("/v1/runs", json={"input": "Hi", "agent": f"made-up-{number}"})).is_success
    seen = await scraped(alice)
    assert seen.value("runs_accepted_total", agent="*") == 3
    assert seen.value("waiting_runs", agent="*") == 3
    assert {labels["agent"] for labels in seen.named("waiting_runs")} == {"main", "*"}


async def test_requests_are_counted_by_route_and_not_by_path(alice: httpx.AsyncClient) -> None:
    for path in ("/v1/runs/chatcmpl_1", "/v1/runs/chatcmpl_2", "/nowhere/1", "/nowhere/2"):
        await alice.get(path)
    seen = await scraped(alice)
    assert seen.value("http_responses_total", method="GET", route="/v1/runs/{run_id}", status="404") == 2
    assert seen.value("http_responses_total", method="GET", route="none", status="404") == 2
    assert seen.value("http_response_start_seconds_count", route="/v1/runs/{run_id}") == 2


async def test_open_streams_are_counted_and_what_they_send(alice: httpx.AsyncClient, stage: Stage) -> None:
    async with streamed_chat(alice, chat()) as stream:
        await stream.next()
        before = await scraped(alice)
        assert before.value("open_streams") == 1
        attempt = await stage.take("x" * 1_000)
        await stream.next()
        after = await scraped(alice)
        assert (after.value("sent_bytes_total") or 0) - (before.value("sent_bytes_total") or 0) > 1_000
        await attempt.end()
        await stream.rest()

    async def closed() -> bool:
        return (await scraped(alice)).value("open_streams") == 0

    await wait_until(closed, "the stream is not counted any more")


async def test_a_run_that_ends_without_a_worker_is_counted_here(alice: httpx.AsyncClient) -> None:
    await scraped(alice)  # at a scrape the process learns the agents
    run_id = (await alice.post("/v1/runs", json={"input": "Hi"})).json()["id"]
    await alice.post(f"/v1/runs/{run_id}/cancel")
    ended = {"agent": "main", "state": "cancelled", "code": StopReason.USER.value}
    assert (await scraped(alice)).value("runs_ended_total", **ended) == 1


async def test_without_redis_it_answers_and_shows_no_old_numbers(redis: Redis, stage: Stage) -> None:
    pipe = LossyPipe(redis)
    directory = AgentDirectory(Presence(pipe, KEYS))
    page = MetricsPage(LoopbackOnly(), ApiMetrics(CollectorRegistry()), QueueDepth(pipe, KEYS), directory)
    async with (
        served(Starlette(routes=[Route("/metrics", page.show)])) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        assert (await scraped(client)).named("waiting_runs")
        pipe.faults = ["before", "before"]
        seen = await scraped(client)
        assert seen.value("redis_up") == 0
        assert [name for name in FLEET if seen.named(name)] == []
        pipe.faults = []
        assert (await scraped(client)).value("redis_up") == 1
    await pipe.aclose()


@pytest.mark.parametrize(
    ("token", "status"), [("metrics-token", 200), (MONA, 200), (OLGA, 200), (ALICE, 401), ("wrong", 401)]
)
async def test_it_is_for_the_scraper_and_for_those_who_may_look_at_everything(
    broker: Broker, stage: Stage, token: str, status: int
) -> None:
    async with running_api(broker, metrics_token="metrics-token") as api, api.client(token) as client:
        assert (await client.get("/metrics")).status_code == status


async def test_the_token_of_the_metrics_opens_nothing_else(broker: Broker, stage: Stage) -> None:
    async with running_api(broker, metrics_token="metrics-token") as api, api.client("metrics-token") as client:
        for path in ("/v1/runs", "/v1/admin/stats"):
            assert (await client.get(path)).status_code == 401


async def test_it_is_not_open_to_the_world(api: Api) -> None:
    async with httpx.AsyncClient(base_url=api.url) as stranger:
        assert (await stranger.get("/metrics")).status_code == 401
