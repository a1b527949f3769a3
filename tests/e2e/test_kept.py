"""What a finished run has said, when its worker has made the log small: every client reads it as it was told live."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx
import pytest
from redis import Redis

from shared.log.event_log import PAGE
from shared.log.packing import BLOCK
from shared.redis.keys import Keys
from tests.e2e.asking import CHAT, authorised, content, frames, payload
from tests.e2e.play import BREATHE, Step, say, wait
from tests.e2e.process import ROOT, environment
from tests.e2e.service import ALICE, Service, started
from tests.e2e.waiting import until

WORDS = PAGE + 80
TOOL: Step = {"stream": "tool", "data": {"phase": "start", "name": "look", "args": {"data": {"delta": '"'}}}}
THOUGHT: Step = {"stream": "reasoning", "data": {"delta": "Hm, "}}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Two web processes; Alice operates it, too."""
    folder = tmp_path_factory.mktemp("kept")
    with started(folder, webs=2, settings={"OPERATE_TOKENS": f"alice:{ALICE}"}) as service:
        yield service


@pytest.fixture(scope="module", params=[0, 1])
def http(service: Service, request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    """Of each web process."""
    with httpx.Client(base_url=service.webs[request.param].url, headers=authorised(), timeout=30) as http:
        yield http


@dataclass(frozen=True)
class Told:
    """A run, and what clients that were there heard of it."""

    run_id: str
    text: str
    events: list[str]
    chunks: list[str]

    @property
    def last(self) -> int:
        return len(self.events)


def said(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [frame for frame in frames([answer.content]) if not frame.startswith(":")]


@pytest.fixture(scope="module")
def told(service: Service) -> Told:
    words = [f'{number} "🙂\n' if number % 50 == 7 else f"{number} " for number in range(WORDS)]
    spoken = [step for word in words for step in (say(word), BREATHE)]
    play = service.play(wait("on"), THOUGHT, BREATHE, THOUGHT, TOOL, *spoken)
    with (
        ThreadPoolExecutor() as pool,
        httpx.Client(base_url=service.url, headers=authorised(), timeout=60) as http,
    ):
        run_id = http.post("/v1/runs", json={"agent": "scripted", "input": play.message}).json()["id"]
        events = pool.submit(http.get, f"/v1/runs/{run_id}/events", params={"after": 0})
        chunks = pool.submit(http.get, f"{CHAT}/{run_id}", params={"stream": "true"})
        play.open("on")
        told = Told(run_id, "".join(words), said(events.result()), said(chunks.result()))
    with Redis.from_url(service.redis.connection_url) as redis:
        stream = Keys("e2e").stream(run_id)
        until(lambda: BLOCK in dict(redis.xrange(stream, count=1)[0][1]))
        assert redis.xlen(stream) == 2
    assert told.last > WORDS
    return told


def places(last: int) -> list[int]:
    return [0, 1, 2, 30, PAGE - 1, PAGE, PAGE + 1, last - 1]


def test_events_are_the_same_from_any_place(http: httpx.Client, told: Told) -> None:
    for after in places(told.last):
        resumed = http.get(f"/v1/runs/{told.run_id}/events", headers={"Last-Event-ID": str(after)})
        assert said(resumed) == told.events[after:]
    url = f"/v1/runs/{told.run_id}/events"
    assert http.get(url, headers={"Last-Event-ID": str(told.last)}).status_code == 204


def test_a_chat_goes_on_from_any_place(http: httpx.Client, told: Told) -> None:
    url, role = f"{CHAT}/{told.run_id}", told.chunks[0]
    assert payload(role)["choices"][0]["delta"] == {"role": "assistant"}
    for after in places(told.last):
        rest = said(http.get(url, params={"stream": "true", "starting_after": after}))
        missed = [chunk for chunk in told.chunks[1:-1] if payload(chunk).get("seq", told.last) > after]
        assert rest == [*([] if after else [role]), *missed, "data: [DONE]"]


def test_the_whole_answer_is_the_same(http: httpx.Client, told: Told) -> None:
    choices = [choice for chunk in told.chunks[:-1] for choice in payload(chunk)["choices"]]
    assert "".join(choice["delta"].get("content", "") for choice in choices) == told.text
    assert content(http.get(f"{CHAT}/{told.run_id}")) == told.text
    assert http.get(f"/v1/runs/{told.run_id}").json()["text"] == told.text


def test_operators_see_its_steps_and_its_text(http: httpx.Client, told: Told) -> None:
    view = http.get(f"/v1/admin/runs/{told.run_id}").json()
    assert [step["what"] for step in view["timeline"]] == ["queued", "start", "tool", "text", "end"]
    assert view["text"] == told.text
    events = http.get(f"/v1/admin/runs/{told.run_id}/events", params={"after": PAGE})
    assert said(events) == told.events[PAGE:]


def test_the_command_line_prints_it(service: Service, told: Told) -> None:
    access = {"RUNRELAY_URL": service.url, "RUNRELAY_TOKEN": ALICE}
    words = [sys.executable, "-m", "cli", "runs", "tail", told.run_id]
    done = subprocess.run(words, cwd=ROOT, env=environment(access), capture_output=True, timeout=60, check=True)
    assert done.stdout.decode().rstrip("\n") == told.text.rstrip("\n")
