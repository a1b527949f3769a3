"""A worker is killed, or falls silent, while it runs an agent."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest
from redis import Redis

from tests.e2e.asking import CHAT, asked, broken_off, content, payload, received_until, stream, streamed
from tests.e2e.play import NEW_MESSAGE, Play, call, say, wait, wait_each
from tests.e2e.process import runs
from tests.e2e.service import Service, started
from tests.e2e.waiting import until


def posted(pool: ThreadPoolExecutor, http: httpx.Client, url: str, play: Play, agent: str) -> Future[httpx.Response]:
    return pool.submit(http.post, url + CHAT, json=asked(play.message, agent))


def failure_of(answer: httpx.Response) -> tuple[int, str, str]:
    return answer.status_code, answer.json()["error"]["code"], answer.headers["x-should-retry"]


LOST = (503, "worker_lost", "false")


def test_in_mid_answer_every_reader_is_told(
    cluster: Service, cluster_http: httpx.Client, pool: ThreadPoolExecutor
) -> None:
    play, headers = cluster.play(say("half an ans"), wait("never")), {"Idempotency-Key": "in-mid-answer"}
    body = asked(play.message, "scripted")
    with stream(cluster_http, body, url=cluster.webs[0].url, headers=headers) as received:
        whole = pool.submit(cluster_http.post, cluster.webs[1].url + CHAT, json=body, headers=headers)
        before = received_until("half an ans", received)
        cluster.at_work(play).kill()
        error = broken_off([*before, *received])
    assert (error["type"], error["code"]) == ("api_error", "worker_lost")
    assert play.starts[0].run in error["message"]
    assert failure_of(whole.result()) == LOST
    assert len(play.starts) == 1


def test_in_mid_answer_they_are_told_when_no_worker_is_left(
    cluster: Service, cluster_http: httpx.Client, pool: ThreadPoolExecutor
) -> None:
    play, headers = cluster.play(say("half an ans"), wait("never")), {"Idempotency-Key": "no-worker-left"}
    body = asked(play.message, "scripted")
    with stream(cluster_http, body, url=cluster.webs[0].url, headers=headers) as received:
        whole = pool.submit(cluster_http.post, cluster.webs[1].url + CHAT, json=body, headers=headers)
        before = received_until("half an ans", received)
        for worker in cluster.workers:
            worker.kill()
        assert broken_off([*before, *received])["code"] == "worker_lost"
    assert failure_of(whole.result()) == LOST


def test_before_any_text_the_other_worker_does_the_run(
    cluster: Service, cluster_http: httpx.Client, pool: ThreadPoolExecutor
) -> None:
    plays = [cluster.play(wait("on"), say("one "), say("two")) for _ in range(2)]
    whole = posted(pool, cluster_http, cluster.url, plays[1], "scripted")
    with stream(cluster_http, asked(plays[0].message, "scripted"), url=cluster.url) as received:
        before = [next(received), next(received)]
        workers = {cluster.at_work(play) for play in plays}
        lost, *others = [*workers, *(worker for worker in cluster.workers if worker not in workers)]
        lost.kill()
        for play in plays:
            if play.starts[0].pid == lost.pid:
                assert cluster.at_work(play, attempt=2) in others
            play.open("on")
        assert streamed([*before, *received]) == "one two"
    assert content(whole.result()) == "one two"


def test_before_any_text_a_worker_that_comes_later_does_the_run(cluster: Service, cluster_http: httpx.Client) -> None:
    play = cluster.play(wait("on"), say("one "), say("two"))
    with stream(cluster_http, asked(play.message, "scripted"), url=cluster.url) as received:
        before = [next(received), next(received)]
        cluster.at_work(play)
        for worker in cluster.workers:
            worker.kill()
        cluster.start(workers=1)
        assert cluster.at_work(play, attempt=2) in cluster.workers
        play.open("on")
        assert streamed([*before, *received]) == "one two"


@pytest.mark.parametrize("agent", ["never-again", "once-only"])
def test_before_any_text_an_agent_that_must_not_run_again_does_not(
    cluster: Service, cluster_http: httpx.Client, pool: ThreadPoolExecutor, agent: str
) -> None:
    play = cluster.play(wait("never"))
    whole = posted(pool, cluster_http, cluster.url, play, agent)
    cluster.at_work(play).kill()
    assert failure_of(whole.result()) == LOST
    assert len(play.starts) == 1


def test_an_agent_that_may_run_again_after_text_begins_a_new_message(
    cluster: Service, cluster_http: httpx.Client
) -> None:
    play = cluster.play(say("one "), wait("on"), say("two"))
    with stream(cluster_http, asked(play.message, "always-again"), url=cluster.url) as received:
        before = received_until("one ", received)
        cluster.at_work(play).kill()
        cluster.at_work(play, attempt=2)
        play.open("on")
        assert streamed([*before, *received]) == "one \n\none two"


def test_after_half_a_call_no_agent_runs_again_even_where_it_may(cluster: Service, cluster_http: httpx.Client) -> None:
    """The reader has half of the call; another attempt would append a whole call to it."""
    play = cluster.play(call('{"at": '), wait("never"))
    with stream(cluster_http, asked(play.message, "always-again"), url=cluster.url) as received:
        before = [next(received), next(received), next(received)]
        assert "tool_calls" in payload(before[-1])["choices"][0]["delta"]
        cluster.at_work(play).kill()
        assert broken_off([*before, *received])["code"] == "worker_lost"
    assert len(play.starts) == 1


def test_the_rest_of_its_session_goes_on(
    cluster: Service, cluster_http: httpx.Client, pool: ThreadPoolExecutor
) -> None:
    play, following = cluster.play(say("half an ans"), wait("never")), cluster.play(say("next"))
    with stream(cluster_http, asked(play.message, "scripted", user="lost"), url=cluster.url) as received:
        before = received_until("half an ans", received)
        body = asked(following.message, "scripted", user="lost")
        then = pool.submit(cluster_http.post, cluster.url + CHAT, json=body)
        cluster.at_work(play).kill()
        assert broken_off([*before, *received])["code"] == "worker_lost"
    assert content(then.result()) == "next"


def test_a_worker_that_comes_back_too_late_is_not_heard(cluster: Service, cluster_http: httpx.Client) -> None:
    """The late worker emits more than the attempt that replaced it, so that the log would show its text."""
    play = cluster.play(wait_each("on"), *[say("word"), NEW_MESSAGE] * 10)
    with stream(cluster_http, asked(play.message, "scripted"), url=cluster.url) as received:
        before = [next(received), next(received)]
        silent = cluster.at_work(play)
        silent.signal(signal.SIGSTOP)
        try:
            assert cluster.at_work(play, attempt=2) is not silent
            play.open("on1")
        finally:
            silent.signal(signal.SIGCONT)
        until(lambda: play.events("end"))
        assert play.events("end")[0].pid == silent.pid
        play.open("on2")
        assert streamed([*before, *received]) == "\n\n".join(["word"] * 10)
    assert content(cluster_http.post(cluster.url + CHAT, json=asked("Hi", "echo"))) == "Hi"


def test_a_worker_that_falls_silent_in_mid_answer_loses_its_run_and_ends_its_agent(
    cluster: Service, cluster_http: httpx.Client
) -> None:
    play = cluster.play(say("half an ans"), wait("on"), say("wer"))
    with stream(cluster_http, asked(play.message, "scripted"), url=cluster.url) as received:
        before = received_until("half an ans", received)
        silent = cluster.at_work(play)
        silent.signal(signal.SIGSTOP)
        try:
            assert broken_off([*before, *received])["code"] == "worker_lost"
        finally:
            silent.signal(signal.SIGCONT)
    until(lambda: play.events("end"))
    view = cluster_http.get(f"{cluster.url}/v1/runs/{play.starts[0].run}").json()
    assert (view["state"], view["text"], len(play.starts)) == ("failed", "half an ans", 1)


def test_the_program_of_a_killed_worker_is_gone_when_another_one_starts_it_again(
    cluster: Service, cluster_http: httpx.Client, pool: ThreadPoolExecutor, tmp_path: Path
) -> None:
    """Otherwise two programs would work on the same files."""
    pids = tmp_path / "pids"
    pids.touch()
    whole = pool.submit(cluster_http.post, cluster.url + CHAT, json=asked(str(pids), "tells-its-pid"))
    first = psutil.Process(int(until(pids.read_text)))
    cluster.worker(first.ppid()).kill()
    second = psutil.Process(int(until(lambda: pids.read_text().split()[1:])[0]))
    left = [program for program in (first, second) if runs(program)]
    for program in left:
        program.kill()
    assert left == [second]
    assert whole.result().json()["error"]["code"] == "agent_failed"


# --- its guardian gives its leases back -------------------------------------------------------------------------------


@pytest.fixture
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Leases that outlast every patience of these tests, so that only a guardian can end them."""
    with started(tmp_path_factory.mktemp("patient"), workers=2, settings={"LEASE_SECONDS": "3600"}) as service:
        yield service


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_the_clients_of_a_killed_worker_need_not_wait_for_its_leases(
    patient: Service, cluster_http: httpx.Client, pool: ThreadPoolExecutor, number: signal.Signals
) -> None:
    talking, silent = patient.play(say("half an ans"), wait("never")), patient.play(wait("on"), say("whole"))
    with stream(cluster_http, asked(talking.message, "scripted"), url=patient.url) as received:
        before = received_until("half an ans", received)
        lost = patient.at_work(talking)
        others = [patient.play(wait("on"), say("whole")) for _ in range(6)]  # some of them on the same worker
        answers = [posted(pool, cluster_http, patient.url, play, "scripted") for play in (silent, *others)]
        first = [(play, patient.at_work(play)) for play in (silent, *others)]
        lost.signal(number)
        assert broken_off([*before, *received])["code"] == "worker_lost"
        for play, worker in first:
            if worker is lost:
                assert patient.at_work(play, attempt=2) is not lost
            play.open("on")
    assert [content(answer.result()) for answer in answers] == ["whole"] * 7


def test_leases_are_given_back_when_redis_is_there_again(
    patient: Service, cluster_http: httpx.Client, pool: ThreadPoolExecutor
) -> None:
    play = patient.play(wait("on"), say("whole"))
    answer = posted(pool, cluster_http, patient.url, play, "scripted")
    lost = patient.at_work(play)
    with Redis.from_url(patient.redis.connection_url) as redis:
        redis.execute_command("CLIENT", "PAUSE", 3_000)
    lost.kill()
    assert patient.at_work(play, attempt=2) is not lost
    play.open("on")
    assert content(answer.result()) == "whole"
