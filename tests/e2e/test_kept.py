"""The compacted log of a run that has ended: every client reads it exactly as clients read the live run."""

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

WORDS = PAGE + 300  # some of them share an event, where the machine is too busy to have each sent alone
EVENTS = PAGE + 80  # at least, so that they do not fit on a page
TOOL: Step = {"stream": "tool", "data": {"phase": "start", "name": "look", "args": {"data": {"delta": '"'}}}}
THOUGHT: Step = {"stream": "reasoning", "data": {"delta": "Hm, "}}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with two web processes, which Alice may also operate."""
    folder = tmp_path_factory.mktemp("kept")
    with started(folder, webs=2, settings={"OPERATE_TOKENS": f"alice:{ALICE}"}) as service:
        yield service


@pytest.fixture(scope="module", params=[0, 1])
def http(service: Service, request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    """A client of each web process."""
    with httpx.Client(base_url=service.webs[request.param].url, headers=authorised(), timeout=30) as http:
        yield http


@dataclass(frozen=True)
class EndedRun:
    """A run that has ended, and what clients received of it while it ran."""

    run_id: str
    text: str
    events: list[str]
    chunks: list[str]

    @property
    def last(self) -> int:
        return len(self.events)


def frames_of(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [frame for frame in frames([answer.content]) if not frame.startswith(":")]


@pytest.fixture(scope="module")
def ended(service: Service) -> EndedRun:
    texts = [f'{number} "🙂\n' if number % 50 == 7 else f"{number} " for number in range(WORDS)]
    steps = [step for text in texts for step in (say(text), BREATHE)]
    play = service.play(wait("on"), THOUGHT, BREATHE, THOUGHT, TOOL, *steps)
    with (
        ThreadPoolExecutor() as pool,
        httpx.Client(base_url=service.url, headers=authorised(), timeout=60) as http,
    ):
        run_id = http.post("/v1/runs", json={"agent": "scripted", "input": play.message}).json()["id"]
        events = pool.submit(http.get, f"/v1/runs/{run_id}/events", params={"after": 0})
        chunks = pool.submit(http.get, f"{CHAT}/{run_id}", params={"stream": "true"})
        play.open("on")
        ended = EndedRun(run_id, "".join(texts), frames_of(events.result()), frames_of(chunks.result()))
    with Redis.from_url(service.redis.connection_url) as redis:
        stream = Keys("e2e").stream(run_id)
        until(lambda: BLOCK in dict(redis.xrange(stream, count=1)[0][1]))
        assert redis.xlen(stream) == 2
    assert ended.last > EVENTS
    return ended


def places(last: int) -> list[int]:
    return [0, 1, 2, 30, PAGE - 1, PAGE, PAGE + 1, last - 1]


def test_events_are_the_same_from_any_place(http: httpx.Client, ended: EndedRun) -> None:
    for after in places(ended.last):
        resumed = http.get(f"/v1/runs/{ended.run_id}/events", headers={"Last-Event-ID": str(after)})
        assert frames_of(resumed) == ended.events[after:]
    url = f"/v1/runs/{ended.run_id}/events"
    assert http.get(url, headers={"Last-Event-ID": str(ended.last)}).status_code == 204


def test_a_chat_goes_on_from_any_place(http: httpx.Client, ended: EndedRun) -> None:
    url, role = f"{CHAT}/{ended.run_id}", ended.chunks[0]
    assert payload(role)["choices"][0]["delta"] == {"role": "assistant"}
    for after in places(ended.last):
        rest = frames_of(http.get(url, params={"stream": "true", "starting_after": after}))
        missed = [chunk for chunk in ended.chunks[1:-1] if payload(chunk).get("seq", ended.last) > after]
        assert rest == [*([] if after else [role]), *missed, "data: [DONE]"]


def test_the_whole_answer_is_the_same(http: httpx.Client, ended: EndedRun) -> None:
    choices = [choice for chunk in ended.chunks[:-1] for choice in payload(chunk)["choices"]]
    assert "".join(choice["delta"].get("content", "") for choice in choices) == ended.text
    assert content(http.get(f"{CHAT}/{ended.run_id}")) == ended.text
    assert http.get(f"/v1/runs/{ended.run_id}").json()["text"] == ended.text


def test_operators_see_its_steps_and_its_text(http: httpx.Client, ended: EndedRun) -> None:
    view = http.get(f"/v1/admin/runs/{ended.run_id}").json()
    assert [step["what"] for step in view["timeline"]] == ["queued", "start", "tool", "text", "end"]
    assert view["text"] == ended.text
    events = http.get(f"/v1/admin/runs/{ended.run_id}/events", params={"after": PAGE})
    assert frames_of(events) == ended.events[PAGE:]


def test_the_command_line_prints_it(service: Service, ended: EndedRun) -> None:
    access = {"RUNRELAY_URL": service.url, "RUNRELAY_TOKEN": ALICE}
    command = [sys.executable, "-m", "cli", "runs", "tail", ended.run_id]
    done = subprocess.run(command, cwd=ROOT, env=environment(access), capture_output=True, timeout=60, check=True)
    assert done.stdout.decode().rstrip("\n") == ended.text.rstrip("\n")
