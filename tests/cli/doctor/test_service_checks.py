from __future__ import annotations

import pytest

from cli.doctor.finding import Level
from cli.doctor.service_checks import agents, queue, releases, webs, workers
from shared.ledger.operations import Pause
from shared.ledger.presence import SeenWeb, SeenWorker, WebAnnouncement
from shared.ledger.queue_depth import Depth, FleetDepth
from shared.redis.keys import ALL, WORKER_TTL_MS
from tests.shared.announcing import announcement

PAUSE = Pause(1, "olga")


def seen(*agents: str, running: int = 3, version: str = "1", age_ms: int = 0) -> SeenWorker:
    announced = announcement("w1", *agents).model_copy(update={"running": running, "version": version})
    return SeenWorker(announced, age_ms)


def web(version: str = "1") -> SeenWeb:
    return SeenWeb(
        WebAnnouncement(web="a", host="h", pid=1, version=version, streams=2, lag_ms=0, since_ms=0), age_ms=0
    )


@pytest.mark.parametrize(
    ("there", "level"),
    [
        ([], "bad"),
        ([seen(age_ms=WORKER_TTL_MS)], "bad"),
        ([SeenWorker(announcement("w1", state="draining"), 0)], "bad"),
        ([seen()], "ok"),
        ([seen(running=10)], "warn"),
        ([seen(running=10), seen(running=1)], "ok"),
    ],
)
def test_somebody_has_to_take_runs(there: list[SeenWorker], level: Level) -> None:
    assert workers(there).level == level


@pytest.mark.parametrize(("there", "level"), [([], "bad"), ([web()], "ok")])
def test_somebody_has_to_answer(there: list[SeenWeb], level: Level) -> None:
    assert webs(there).level == level


def test_releases_that_differ_are_told() -> None:
    assert releases([seen()], [web()]).level == "ok"
    assert releases([seen(), seen(version="2")], [web()]).level == "warn"
    assert releases([seen()], [web("2")]).level == "warn"
    assert releases([seen(), seen(version="0", age_ms=WORKER_TTL_MS)], [web()]).level == "ok"


@pytest.mark.parametrize(
    ("served", "wanted", "level"),
    [(["main"], ["main"], "ok"), (["main"], ["coder"], "bad"), (["*"], ["coder"], "ok"), (["main"], [], "ok")],
)
def test_what_waits_for_nobody_is_told(served: list[str], wanted: list[str], level: Level) -> None:
    depth = FleetDepth(Depth(), {name: Depth(waiting=1) for name in wanted})
    assert agents([seen(*served)], depth).level == level


@pytest.mark.parametrize(
    ("depth", "paused", "level"),
    [
        (Depth(), {}, "ok"),
        (Depth(waiting=9, oldest_wait_ms=5_000), {}, "ok"),
        (Depth(waiting=9, oldest_wait_ms=90_000), {}, "warn"),
        (Depth(held=9), {ALL: PAUSE}, "warn"),
        (Depth(), {"coder": PAUSE}, "warn"),
    ],
)
def test_a_queue_that_stands_is_told(depth: Depth, paused: dict[str, Pause], level: Level) -> None:
    assert queue(FleetDepth(depth, {}), paused).level == level
