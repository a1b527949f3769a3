"""Runs on real processes: how they are stopped, when readers may leave, and what becomes of them when processes end."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import httpx2  # what the official client is built on
import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam
from redis import Redis

from shared.redis.keys import Keys
from shared.run.states import ENDS
from tests.e2e.asking import CHAT, asked, authorised, broken_off, content, frames, streamed
from tests.e2e.play import Play, say, wait
from tests.e2e.process import ROOT, Process
from tests.e2e.service import ALICE, Service, started
from tests.e2e.waiting import until
from tests.worker.agents.asking import gone

AGENTS = {"AGENTS_FILE": str(ROOT / "tests/e2e/family.toml")}
SCRIPTED = "scripted"
ATTENDED = Keys("e2e").prefixes()["attended"]
FOREVER = 1e15  # a time at which no run is abandoned; no process sets one as late


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with two web processes, for tests that stop none of them."""
    with started(tmp_path_factory.mktemp("twins"), webs=2, workers=2, settings=AGENTS) as service:
        yield service


@contextmanager
def at(web: Process) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=web.url, headers=authorised(), timeout=30) as client:
        yield client


@pytest.fixture
def here(twins: Service) -> Iterator[httpx.Client]:
    with at(twins.webs[0]) as client:
        yield client


@pytest.fixture
def there(twins: Service) -> Iterator[httpx.Client]:
    with at(twins.webs[1]) as client:
        yield client


def made(client: httpx.Client, message: str, agent: str = SCRIPTED, **fields: object) -> str:
    answer = client.post("/v1/runs", json={"agent": agent, "input": message, **fields})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def shown(client: httpx.Client, run_id: str) -> dict[str, Any]:
    answer = client.get(f"/v1/runs/{run_id}")
    assert answer.status_code == 200, answer.text
    view = answer.json()
    assert isinstance(view, dict)
    return view


def ended(client: httpx.Client, run_id: str) -> dict[str, Any]:
    """The view of the run. Waits until it has ended."""
    view = client.get(f"/v1/runs/{run_id}/wait", params={"timeout": 20}).json()
    assert isinstance(view, dict)
    assert view["state"] in ENDS, view
    return view


def family(client: httpx.Client, run_id: str) -> list[int]:
    """The processes of a run of the agent `family`."""
    text = until(lambda: shown(client, run_id)["text"])
    return [int(pid) for pid in str(text).split()]


def desert(service: Service, run_id: str) -> None:
    """Writes into Redis that the last reader has been away long enough. Has no effect on runs that need no reader."""
    with Redis.from_url(service.redis.connection_url) as redis:
        redis.zadd(ATTENDED, {run_id: 0}, xx=True)


# --- another process --------------------------------------------------------------------------------------------------


def test_a_run_is_the_same_at_every_process(twins: Service, here: httpx.Client, there: httpx.Client) -> None:
    play = twins.play(say("one "), wait("on"), say("two"))
    run_id = made(here, play.message)
    until(lambda: shown(there, run_id)["text"] == "one ")
    with there.stream("GET", f"/v1/runs/{run_id}/events", headers={"Last-Event-ID": "2"}) as events:
        feed = (frame for frame in frames(events.iter_bytes()) if not frame.startswith(":"))
        assert next(feed).startswith("id: 3\nevent: assistant\n")
        play.open("on")
        assert [frame.split("\n")[0] for frame in feed] == ["id: 4", "id: 5"]
    assert ended(there, run_id)["text"] == ended(here, run_id)["text"] == "one two"
    assert there.get(f"/v1/runs/{run_id}/events", headers={"Last-Event-ID": "5"}).status_code == 204
    assert content(there.get(f"{CHAT}/{run_id}")) == "one two"
    assert run_id in [run["id"] for run in there.get("/v1/runs", params={"state": "completed"}).json()["data"]]


# --- cancel -----------------------------------------------------------------------------------------------------------


def test_cancel_ends_every_process_of_a_run(here: httpx.Client, there: httpx.Client) -> None:
    """It also ends the process that made a session of its own."""
    run_id = made(here, "Hi", agent="family")
    pids = family(here, run_id)
    assert there.post(f"/v1/runs/{run_id}/cancel").status_code == 202
    view = ended(here, run_id)
    assert (view["state"], view["cancel_requested"]) == ("cancelled", "user")
    assert gone(*pids)
    assert here.post(f"/v1/runs/{run_id}/cancel").status_code == 200


def test_a_run_that_waits_is_cancelled_and_never_starts(
    twins: Service, here: httpx.Client, there: httpx.Client
) -> None:
    first, second, third = twins.play(wait("on")), twins.play(), twins.play(say("three"))
    runs = [made(here, play.message, session="cancelled") for play in (first, second, third)]
    until(lambda: first.starts)
    assert there.post(f"/v1/runs/{runs[1]}/cancel").json()["state"] == "cancelled"
    first.open("on")
    assert ended(here, runs[2])["text"] == "three"
    assert second.journal == []


@pytest.mark.parametrize("others", [0, 1])
def test_a_run_whose_worker_was_just_killed_is_cancelled(tmp_path: Path, others: int) -> None:
    """Another worker cancels it, or the web process when there is none."""
    with started(tmp_path, workers=1 + others, settings=AGENTS) as service, at(service.webs[0]) as http:
        play = service.play(say("half"), wait("never"))
        run_id = made(http, play.message)
        until(lambda: shown(http, run_id)["text"])
        service.worker(play.starts[0].pid).kill()
        assert http.post(f"/v1/runs/{run_id}/cancel").status_code == 202
        view = ended(http, run_id)
        assert (view["state"], view["text"], view["cancel_requested"]) == ("cancelled", "half", "user")
        assert len(play.starts) == 1


def test_a_worker_that_is_killed_leaves_no_process(tmp_path: Path) -> None:
    """It leaves none although no other worker could look for them."""
    with started(tmp_path, settings=AGENTS) as service, at(service.webs[0]) as http:
        run_id = made(http, "Hi", agent="family")
        pids = family(http, run_id)
        worker = service.workers[0]
        worker.kill()
        until(lambda: gone(*pids))
        assert not worker.left_over()
        assert ended(http, run_id)["error"]["code"] == "worker_lost"


# --- readers ----------------------------------------------------------------------------------------------------------


def left(http: httpx.Client, play: Play, agent: str = SCRIPTED, **headers: str) -> str:
    """A run whose only reader has left after its first delta."""
    body = asked(play.message, agent, stream=True)
    with http.stream("POST", CHAT, json=body, headers=headers) as answer:
        feed = frames(answer.iter_bytes())
        until(lambda: "content" in next(feed))
        return answer.headers["x-run-id"]


def test_a_run_that_nobody_reads_any_more_is_stopped(twins: Service, here: httpx.Client) -> None:
    play = twins.play(say("half"), wait("never"))
    run_id = left(here, play)

    def stopped() -> bool:
        desert(twins, run_id)
        return bool(play.events("end"))

    until(stopped)
    view = ended(here, run_id)
    assert (view["state"], view["cancel_requested"], view["text"]) == ("cancelled", "disconnect", "half")


@pytest.mark.parametrize(("agent", "headers"), [("tough", {}), (SCRIPTED, {"Idempotency-Key": "goes on"})])
def test_a_run_that_goes_on_without_readers(
    twins: Service, here: httpx.Client, agent: str, headers: dict[str, str]
) -> None:
    play, abandoned = twins.play(say("one "), wait("on"), say("two")), twins.play(say("half"), wait("never"))
    run_id, control = left(here, play, agent, **headers), left(here, abandoned)

    def stopped() -> bool:
        desert(twins, run_id)
        desert(twins, control)
        return bool(abandoned.events("end"))

    until(stopped)  # from here on, every run that ends with its readers has ended
    assert not play.events("end")
    play.open("on")
    assert ended(here, run_id)["text"] == "one two"


def test_a_run_is_kept_while_somebody_reads_it_elsewhere(
    twins: Service, here: httpx.Client, there: httpx.Client
) -> None:
    """The reader that leaves sets the time at which the run ends, and the reader that stays postpones it."""
    play = twins.play(say("one "), wait("on"), say("two"))
    with ExitStack() as reading, Redis.from_url(twins.redis.connection_url) as redis:
        first = reading.enter_context(here.stream("POST", CHAT, json=asked(play.message, SCRIPTED, stream=True)))
        run_id = first.headers["x-run-id"]
        with there.stream("GET", f"{CHAT}/{run_id}", params={"stream": "true"}) as second:
            text = frames(second.iter_bytes())
            until(lambda: "content" in next(text))
            redis.zadd(ATTENDED, {run_id: FOREVER})
            reading.pop_all().close()
            left = until(lambda: redis.zscore(ATTENDED, run_id) != FOREVER and redis.zscore(ATTENDED, run_id))
            until(lambda: redis.zscore(ATTENDED, run_id) > left)
            play.open("on")
            assert "two" in "".join(text)


def test_a_client_is_told_before_its_own_time_is_up_and_its_agent_is_stopped(
    twins: Service, here: httpx.Client
) -> None:
    play = twins.play(wait("never"))
    answer = here.post(CHAT, json=asked(play.message, SCRIPTED), headers={"x-stainless-read-timeout": "0.5"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "client_timeout")
    assert answer.headers["x-should-retry"] == "false"
    until(lambda: play.events("end"))
    assert ended(here, answer.headers["x-run-id"])["cancel_requested"] == "timeout"


# --- a web process that is replaced -----------------------------------------------------------------------------------


@pytest.fixture
def leaving(tmp_path: Path) -> Iterator[Service]:
    """The first web process gives its streams two seconds, the second one stays."""
    with started(tmp_path, webs=0, settings=AGENTS) as service:
        service.start(webs=1, settings={"DRAIN_SECONDS": "2"})
        service.start(webs=1)
        yield service


def test_a_stream_that_ends_in_time_is_whole(leaving: Service) -> None:
    play, web = leaving.play(say("one "), wait("on"), say("two")), leaving.webs[0]
    with at(web) as http, http.stream("POST", CHAT, json=asked(play.message, SCRIPTED, stream=True)) as answer:
        until(lambda: play.starts)
        web.signal(signal.SIGTERM)
        play.open("on")
        assert streamed(frames(answer.iter_bytes())) == "one two"
    assert web.ends()


def test_a_stream_that_does_not_is_told_and_goes_on_elsewhere(leaving: Service) -> None:
    play, web = leaving.play(say("one "), wait("on"), say("two")), leaving.webs[0]
    with at(web) as http, http.stream("POST", CHAT, json=asked(play.message, SCRIPTED, stream=True)) as answer:
        until(lambda: play.starts)
        web.signal(signal.SIGTERM)
        assert broken_off(frames(answer.iter_bytes()))["code"] == "server_restarting"
    assert web.ends()
    play.open("on")
    with at(leaving.webs[1]) as http:
        assert content(http.get(f"{CHAT}/{answer.headers['x-run-id']}")) == "one two"
    assert len(play.starts) == 1


def test_who_waits_for_a_whole_answer_is_told(leaving: Service) -> None:
    play, web = leaving.play(wait("on"), say("one")), leaving.webs[0]
    with ThreadPoolExecutor() as pool, at(web) as http:
        posted = pool.submit(http.post, CHAT, json=asked(play.message, SCRIPTED))
        until(lambda: play.starts)
        web.signal(signal.SIGTERM)
        answer = posted.result()
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "server_restarting")
        assert answer.headers["x-should-retry"] == "false"  # this client would start a second run
    play.open("on")


class Balancer(httpx2.BaseTransport):
    """Sends each request to the first process that takes it."""

    def __init__(self, webs: list[Process]) -> None:
        self._urls = [httpx2.URL(web.url) for web in webs]
        self._http = httpx2.HTTPTransport()
        self.answered: list[int] = []

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        for url in self._urls:
            request.url = request.url.copy_with(host=url.host, port=url.port)
            try:
                answer = self._http.handle_request(request)
            except httpx2.ConnectError:
                continue
            self.answered.append(answer.status_code)
            return answer
        raise httpx2.ConnectError("nobody takes it")

    def close(self) -> None:
        self._http.close()


def test_the_official_client_gets_its_answer_from_the_other_process_and_the_agent_runs_once(leaving: Service) -> None:
    play, web = leaving.play(wait("on"), say("at last")), leaving.webs[0]
    balancer = Balancer(leaving.webs)
    with (
        ThreadPoolExecutor() as pool,
        openai.DefaultHttpxClient(transport=balancer) as http,
        openai.OpenAI(base_url=f"{web.url}/v1", api_key=ALICE, http_client=http) as client,
    ):
        messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": play.message}]
        model = f"clawdbot:{SCRIPTED}"
        posted = pool.submit(lambda: client.chat.completions.create(model=model, messages=messages))
        until(lambda: play.starts)
        web.signal(signal.SIGTERM)
        until(lambda: balancer.answered == [503])
        assert web.ends()
        play.open("on")
        assert posted.result().choices[0].message.content == "at last"
    assert balancer.answered == [503, 200]
    assert len(play.starts) == 1
