"""SIGTERM, as every deploy sends it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import psutil
import pytest
from redis import Redis

from tests.e2e.asking import CHAT, asked, broken_off, content, received_until, stream, streamed
from tests.e2e.play import say, wait
from tests.e2e.process import Process
from tests.e2e.service import Service, started
from tests.e2e.waiting import until


def stop(worker: Process) -> None:
    """Sends SIGTERM, and returns when the worker has logged it."""
    before = worker.output.count("worker.stopping")
    worker.signal(signal.SIGTERM)
    until(lambda: worker.output.count("worker.stopping") > before)


# --- a worker ---------------------------------------------------------------------------------------------------------


def test_a_worker_that_stops_finishes_what_it_runs(cluster: Service, cluster_http: httpx.Client) -> None:
    play = cluster.play(say("one "), wait("on"), say("two"))
    with stream(cluster_http, asked(play.message, "scripted"), url=cluster.url) as received:
        before = received_until("one ", received)
        stopping = cluster.at_work(play)
        stop(stopping)
        play.open("on")
        assert streamed([*before, *received]) == "one two"
    assert stopping.exit_code() == 0
    assert len(play.starts) == 1


def test_a_worker_that_stops_takes_nothing_new(cluster: Service, cluster_http: httpx.Client) -> None:
    play = cluster.play(say("one"), wait("on"))
    with stream(cluster_http, asked(play.message, "scripted"), url=cluster.url) as received:
        before = received_until("one", received)
        stopping = cluster.at_work(play)
        stop(stopping)
        others = [cluster.play(say("Hi")) for _ in range(10)]
        for other in others:
            assert content(cluster_http.post(cluster.url + CHAT, json=asked(other.message, "scripted"))) == "Hi"
        assert {other.starts[0].pid for other in others}.isdisjoint({stopping.pid})
        play.open("on")
        assert streamed([*before, *received]) == "one"
    assert stopping.exit_code() == 0


def test_told_twice_a_worker_hands_a_silent_run_to_the_other(cluster: Service, cluster_http: httpx.Client) -> None:
    play = cluster.play(wait("on"), say("one "), say("two"))
    with stream(cluster_http, asked(play.message, "scripted"), url=cluster.url) as received:
        before = [next(received), next(received)]
        stopping = cluster.at_work(play)
        stop(stopping)
        stop(stopping)
        assert cluster.at_work(play, attempt=2) is not stopping
        assert stopping.exit_code() == 0
        play.open("on")
        assert streamed([*before, *received]) == "one two"


def test_told_twice_a_worker_ends_a_run_that_has_spoken(cluster: Service, cluster_http: httpx.Client) -> None:
    play = cluster.play(say("half an ans"), wait("never"))
    with stream(cluster_http, asked(play.message, "scripted"), url=cluster.url) as received:
        before = received_until("half an ans", received)
        stopping = cluster.at_work(play)
        stop(stopping)
        stop(stopping)
        assert broken_off([*before, *received])["code"] == "worker_lost"
    assert stopping.exit_code() == 0
    assert [entry.event for entry in play.journal] == ["start", "end"]


def test_a_deploy_does_not_count_as_an_attempt(cluster: Service, cluster_http: httpx.Client) -> None:
    """The agent may have two attempts. The worker that drains spends none; the one that is killed spends one."""
    play = cluster.play(wait("on"), say("one"))
    with stream(cluster_http, asked(play.message, "twice-only"), url=cluster.url) as received:
        before = [next(received), next(received)]
        stopping = cluster.at_work(play)
        stop(stopping)
        stop(stopping)
        cluster.at_work(play, attempt=2).kill()
        assert stopping.exit_code() == 0
        cluster.start(workers=1)
        cluster.at_work(play, attempt=3)
        play.open("on")
        assert streamed([*before, *received]) == "one"


def test_when_its_time_is_over_a_worker_hands_back_and_ends(
    cluster: Service, cluster_http: httpx.Client, pool: ThreadPoolExecutor
) -> None:
    for worker in cluster.workers:
        worker.kill()
    cluster.start(workers=1, settings={"DRAIN_SECONDS": "0.1"})
    play = cluster.play(wait("on"), say("one"))
    whole = pool.submit(cluster_http.post, cluster.url + CHAT, json=asked(play.message, "scripted"))
    stopping = cluster.at_work(play)
    stop(stopping)
    assert stopping.exit_code() == 0
    cluster.start(workers=1)
    cluster.at_work(play, attempt=2)
    play.open("on")
    assert content(whole.result()) == "one"


# --- a web process ----------------------------------------------------------------------------------------------------


def test_a_web_process_that_stops_finishes_its_streams_and_takes_nothing_new(
    cluster: Service, cluster_http: httpx.Client
) -> None:
    stopping, left = cluster.webs
    play = cluster.play(say("one "), wait("on"), say("two"))
    with stream(cluster_http, asked(play.message, "scripted"), url=stopping.url) as received:
        before = received_until("one ", received)
        stopping.signal(signal.SIGTERM)
        until(lambda: not answers(stopping))
        assert content(cluster_http.post(left.url + CHAT, json=asked("Hi", "echo"))) == "Hi"
        play.open("on")
        assert streamed([*before, *received]) == "one two"
    assert stopping.exit_code() in (0, -signal.SIGTERM)


def answers(web: Process) -> bool:
    try:
        return httpx.get(f"{web.url}/healthz").is_success
    except httpx.TransportError:
        return False


@pytest.fixture
def hasty_web(cluster: Service) -> Iterator[Process]:
    """One more web process, for a test to stop. It gives its streams one second."""
    cluster.start(webs=1, settings={"DRAIN_SECONDS": "1"})
    yield cluster.webs[-1]
    assert cluster.webs[-1].exit_code() in (0, -signal.SIGTERM)


def test_a_stream_that_outlasts_its_web_process_says_so_and_does_not_look_whole(
    cluster: Service, cluster_http: httpx.Client, hasty_web: Process
) -> None:
    play = cluster.play(say("half an ans"), wait("on"))
    with stream(cluster_http, asked(play.message, "scripted"), url=hasty_web.url) as received:
        before = received_until("half an ans", received)
        hasty_web.signal(signal.SIGTERM)
        assert broken_off([*before, *received])["code"] == "server_restarting"
    play.open("on")


def test_a_whole_answer_that_outlasts_its_web_process_is_had_from_another_one(
    cluster: Service, cluster_http: httpx.Client, hasty_web: Process, pool: ThreadPoolExecutor
) -> None:
    play = cluster.play(wait("on"), say("one"))
    body = asked(play.message, "scripted", user="restart")
    try_number = "x-stainless-retry-count"  # the API recognises the retry of a client that sends it
    whole = pool.submit(cluster_http.post, hasty_web.url + CHAT, json=body, headers={try_number: "0"})
    cluster.at_work(play)
    hasty_web.signal(signal.SIGTERM)
    refused = whole.result()
    assert (refused.status_code, refused.headers["x-should-retry"]) == (503, "true")
    again = pool.submit(cluster_http.post, cluster.url + CHAT, json=body, headers={try_number: "1"})
    play.open("on")
    assert content(again.result()) == "one"
    assert len(play.starts) == 1


# --- a lame duck ------------------------------------------------------------------------------------------------------


def test_a_web_process_serves_until_load_balancers_have_noticed(cluster: Service, cluster_http: httpx.Client) -> None:
    cluster.start(webs=1, settings={"LAME_DUCK_SECONDS": "600"})
    duck = cluster.webs[-1]
    assert httpx.get(f"{duck.url}/readyz").is_success
    duck.signal(signal.SIGTERM)
    until(lambda: httpx.get(f"{duck.url}/readyz").status_code == 503)
    assert httpx.get(f"{duck.url}/readyz").json() == {"status": "stopping"}
    assert httpx.get(f"{duck.url}/healthz").is_success
    play = cluster.play(say("Hello"))
    assert content(cluster_http.post(duck.url + CHAT, json=asked(play.message, "scripted"))) == "Hello"
    duck.signal(signal.SIGTERM)
    assert duck.exit_code() in (0, -signal.SIGTERM)


# --- while Redis does not answer --------------------------------------------------------------------------------------


@pytest.fixture
def frozen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = {"DRAIN_SECONDS": "1", "LEASE_SECONDS": "10"}
    with started(tmp_path_factory.mktemp("frozen"), settings=settings) as service:
        yield service


def server_of(service: Service) -> psutil.Process:
    with Redis.from_url(service.redis.connection_url) as redis:
        info = redis.info()
    assert isinstance(info, dict)
    return psutil.Process(info["process_id"])


def test_processes_stop_in_time_although_redis_is_paused(
    frozen: Service, cluster_http: httpx.Client, pool: ThreadPoolExecutor
) -> None:
    """A platform would kill them some seconds after the drain. Redis wakes only when both have ended."""
    play = frozen.play(say("half an answer"), wait("never"))
    asking = pool.submit(cluster_http.post, frozen.url + CHAT, json=asked(play.message, "scripted"))
    worker = frozen.at_work(play)
    redis = server_of(frozen)
    redis.suspend()
    try:
        for process in (worker, *frozen.webs):
            process.signal(signal.SIGTERM)
        for process in (worker, *frozen.webs):
            process.exit_code()
    finally:
        redis.resume()
    assert asking.result().status_code == 503


def test_all_clients_get_their_refusal_while_redis_is_paused(
    frozen: Service, cluster_http: httpx.Client, pool: ThreadPoolExecutor
) -> None:
    redis = server_of(frozen)
    redis.suspend()
    try:
        asking = [pool.submit(cluster_http.post, frozen.url + CHAT, json=asked("Hi", "scripted")) for _ in range(8)]
        assert [one.result(10).status_code for one in asking] == [503] * 8
        assert httpx.get(f"{frozen.url}/healthz").is_success
    finally:
        redis.resume()
