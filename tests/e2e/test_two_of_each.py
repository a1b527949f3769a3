"""Two web and two worker processes on one Redis."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import anyio
import httpx
import pytest
from redis import Redis

from tests.e2e.asking import CHAT, asked, authorised, content, frames, given, received_until, stream, streamed
from tests.e2e.play import Play, say, wait
from tests.e2e.service import Service
from tests.e2e.waiting import until

MANY = 50
STREAMS = 16  # fewer than both workers together have slots
CONNECTIONS = 4  # of a process to Redis: small plans allow 20 in all


def test_whichever_worker_runs_it_the_web_process_that_was_asked_streams_it(
    cluster: Service, cluster_http: httpx.Client
) -> None:
    for web in cluster.webs:
        pids: set[int] = set()
        for _ in range(100):
            play = cluster.play(say("Hel"), say("lo"))
            with stream(cluster_http, asked(play.message, "scripted"), url=web.url) as received:
                assert streamed(received) == "Hello"
            pids |= {start.pid for start in play.starts}
            if len(pids) == 2:
                break
        assert pids == {worker.pid for worker in cluster.workers}


def test_a_run_is_heard_at_both_web_processes(cluster: Service, cluster_http: httpx.Client) -> None:
    play, headers = cluster.play(say("one "), wait("on"), say("two")), {"Idempotency-Key": "both-webs"}
    body = asked(play.message, "scripted")
    first, second = (web.url for web in cluster.webs)
    with (
        stream(cluster_http, body, url=first, headers=headers) as here,
        stream(cluster_http, body, url=second, headers=headers) as there,
    ):
        before = [received_until("one ", received) for received in (here, there)]
        play.open("on")
        assert streamed([*before[0], *here]) == streamed([*before[1], *there]) == "one two"
    assert content(cluster_http.post(second + CHAT, json=body, headers=headers)) == "one two"
    assert len(play.starts) == 1


def test_the_same_request_twenty_times_at_once_over_both_is_one_run(
    cluster: Service, cluster_http: httpx.Client, pool: ThreadPoolExecutor
) -> None:
    play, headers = cluster.play(say("one "), wait("on"), say("two")), {"Idempotency-Key": "at-once"}
    body = asked(play.message, "scripted")
    urls = [web.url + CHAT for web in cluster.webs] * 10
    posted = [pool.submit(cluster_http.post, url, json=body, headers=headers) for url in urls]
    began(play)
    play.open("on")
    answers = [one.result() for one in posted]
    assert [content(answer) for answer in answers] == ["one two"] * 20
    assert {answer.headers["x-run-id"] for answer in answers} == {start.run for start in play.starts}
    assert len(play.starts) == 1


async def test_fifty_at_once_over_both_each_get_their_own(cluster: Service) -> None:
    plays = [cluster.play(*(say(f"{number}.{part} ") for part in range(20))) for number in range(MANY)]
    answers: dict[int, str] = {}

    async def ask(http: httpx.AsyncClient, number: int) -> None:
        url = cluster.webs[number % 2].url + CHAT
        answer = await http.post(url, json=asked(plays[number].message, "scripted", stream=number % 4 < 2))
        streams = number % 4 < 2
        answers[number] = streamed(frames([answer.content])) if streams else content(answer)

    async with httpx.AsyncClient(headers=authorised(), timeout=60) as http, anyio.create_task_group() as clients:
        for number in range(MANY):
            clients.start_soon(ask, http, number)
    assert answers == {number: "".join(f"{number}.{part} " for part in range(20)) for number in range(MANY)}
    assert [len(play.starts) for play in plays] == [1] * MANY


def test_open_streams_share_a_few_connections(cluster: Service, cluster_http: httpx.Client) -> None:
    play = cluster.play(say("one"), wait("on"))
    with ExitStack() as stack, Redis.from_url(cluster.redis.connection_url) as redis:
        for number in range(STREAMS):
            url = cluster.webs[number % 2].url
            received = stack.enter_context(stream(cluster_http, asked(play.message, "scripted"), url=url))
            received_until("one", received)
        others = int(redis.info("clients")["connected_clients"]) - 1
        play.open("on")
    assert others <= CONNECTIONS * 4


def test_one_web_process_killed_does_not_disturb_the_other_s_streams(
    cluster: Service, cluster_http: httpx.Client
) -> None:
    killed, left = cluster.webs
    plays = [cluster.play(say("one "), wait("on"), say("two")) for _ in range(4)]
    with ExitStack() as stack:
        doomed = stack.enter_context(stream(cluster_http, asked(plays[0].message, "scripted"), url=killed.url))
        received_until("one ", doomed)
        others = [
            stack.enter_context(stream(cluster_http, asked(play.message, "scripted"), url=left.url))
            for play in plays[1:]
        ]
        before = [received_until("one ", received) for received in others]
        killed.kill()
        with pytest.raises(httpx.TransportError):
            list(doomed)
        for play in plays:
            play.open("on")
        for got, received in zip(before, others, strict=True):
            assert streamed([*got, *received]) == "one two"
    assert content(cluster_http.post(left.url + CHAT, json=asked("Hi", "echo"))) == "Hi"


def test_the_run_of_a_killed_web_process_is_found_again_at_the_other(
    cluster: Service, cluster_http: httpx.Client
) -> None:
    killed, left = cluster.webs
    play, headers = cluster.play(say("one "), wait("on"), say("two")), {"Idempotency-Key": "killed-web"}
    body = asked(play.message, "scripted")
    with stream(cluster_http, body, url=killed.url, headers=headers) as doomed:
        received_until("one ", doomed)
        killed.kill()
        with pytest.raises(httpx.TransportError):
            list(doomed)
    with stream(cluster_http, body, url=left.url, headers=headers) as received:
        before = received_until("one ", received)
        play.open("on")
        assert streamed([*before, *received]) == "one two"
    assert len(play.starts) == 1


# --- one session ------------------------------------------------------------------------------------------------------


def test_runs_of_one_session_go_one_after_the_other(cluster: Service, cluster_http: httpx.Client) -> None:
    plays = [cluster.play(wait("on"), say(str(number))) for number in range(4)]
    with ExitStack() as stack:
        streams = []
        for number, play in enumerate(plays):
            body, url = asked(play.message, "scripted", user="in-turn"), cluster.webs[number % 2].url
            received = stack.enter_context(stream(cluster_http, body, url=url))
            streams.append(([next(received), next(received)], received))
        for number, play in enumerate(plays):
            began(play)
            assert [len(other.starts) for other in plays] == [1] * (number + 1) + [0] * (3 - number)
            play.open("on")
        assert [streamed([*before, *received]) for before, received in streams] == ["0", "1", "2", "3"]


def began(play: Play) -> None:
    until(lambda: play.starts)


def test_two_sessions_do_not_wait_for_each_other(cluster: Service, cluster_http: httpx.Client) -> None:
    waiting = cluster.play(say("one"), wait("on"))
    with stream(cluster_http, asked(waiting.message, "scripted", user="waits"), url=cluster.url) as received:
        before = received_until("one", received)
        other = asked("Hi", "echo", user="goes-on")
        assert content(cluster_http.post(cluster.webs[1].url + CHAT, json=other)) == "Hi"
        waiting.open("on")
        assert streamed([*before, *received]) == "one"


def test_waiting_runs_of_a_session_hold_no_slot(
    cluster: Service, cluster_http: httpx.Client, pool: ThreadPoolExecutor
) -> None:
    """More runs wait than both workers together have slots."""
    play = cluster.play(wait("on"), say("one"))
    body = asked(play.message, "scripted", user="crowd")
    crowd = [pool.submit(cluster_http.post, cluster.url + CHAT, json=body) for _ in range(20)]
    began(play)
    assert content(cluster_http.post(cluster.webs[1].url + CHAT, json=asked("Hi", "echo"))) == "Hi"
    play.open("on")
    assert [content(one.result()) for one in crowd] == ["one"] * 20
    assert [entry.event for entry in play.journal] == ["start", "end"] * 20


def test_a_session_remembers_over_both_web_processes(cluster: Service, cluster_http: httpx.Client) -> None:
    for number in range(6):
        url = cluster.webs[number % 2].url + CHAT
        input = given(cluster_http.post(url, json=asked(f"turn {number}", user="remembers")))
        texts = [turn["content"] for turn in input["history"] if turn["role"] == "user"]
        assert texts == [f"turn {earlier}" for earlier in range(number)]


def test_nothing_stays_in_redis_for_ever(cluster: Service, cluster_http: httpx.Client) -> None:
    for user in ("one", "two", ""):
        cluster_http.post(cluster.url + CHAT, json=asked("Hi", "echo", user=user))
    with Redis.from_url(cluster.redis.connection_url) as redis:
        bounded = {b"{e2e}:workers"}  # each announcement removes dead workers
        assert {key for key in redis.scan_iter() if redis.ttl(key) < 0} <= bounded
