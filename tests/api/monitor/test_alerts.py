from __future__ import annotations

import pytest

from api.monitor.alerts import FULL, LAG_MS, SILENT_MS, WAIT_MS, Alert, AtWork, alerts
from shared.ledger.operator_views import (
    AdminRunView,
    PauseView,
    QueuedAgent,
    QueueView,
    RedisView,
    ServiceLoad,
    StatsView,
    WebView,
    WorkersView,
    WorkerView,
)
from shared.run.states import State

LOAD = {"waiting": 0, "held": 0, "in_line": 0, "running": 0, "oldest_wait_ms": 0}
PAUSED = PauseView(since_ms=1, who="olga")


def stats(*, oldest_wait_ms: int = 0, memory: int | None = None, most: int | None = None) -> StatsView:
    now = ServiceLoad(**{**LOAD, "oldest_wait_ms": oldest_wait_ms}, completed=0, failed=0, cancelled=0)
    redis = RedisView(
        round_trip_ms=1, version=None, memory_bytes=memory, max_memory_bytes=most, clients=None, max_clients=None
    )
    return StatsView(now_ms=1, now=now, agents=[], redis=redis, series=[])


def fleet(*agents: str, state: str = "serving", lag_ms: float = 0) -> WorkersView:
    process = {"name": "w", "host": "h", "pid": 1, "version": "1", "since_ms": 1, "age_ms": 1, "memory_bytes": 1}
    worker = WorkerView.model_validate(
        {**process, "state": state, "ordered": False, "agents": agents or ("main",), "slots": 1, "running": 0}
    )
    web = WebView.model_validate({**process, "state": "serving", "streams": 0, "lag_ms": lag_ms})
    return WorkersView(workers=[worker], webs=[web])


def queue(
    agent: str = "main", *, waiting: int = 0, paused: PauseView | None = None, all_paused: bool = False
) -> QueueView:
    one = QueuedAgent(**{**LOAD, "waiting": waiting}, agent=agent, paused=paused)
    return QueueView(**LOAD, paused=PAUSED if all_paused else None, agents=[one])


def silent(ms: int) -> AtWork:
    row = AdminRunView.model_validate(
        dict.fromkeys(AdminRunView.model_fields)
        | {"id": "chatcmpl_12345678-9", "object": "run", "state": State.RUNNING, "agent": "main", "session": "s"}
        | {"owner": "alice", "attempt": 1, "tries": 1, "queued_ms": 1}
    )
    return AtWork(row, running_ms=ms, silent_ms=ms)


def alerts_of(stats: StatsView, workers: WorkersView, queue: QueueView, *longest: AtWork) -> list[tuple[str, str]]:
    return [(alert.text, alert.link) for alert in alerts(stats, workers, queue, longest)]


def test_all_is_well() -> None:
    assert alerts_of(stats(oldest_wait_ms=WAIT_MS - 1), fleet(), queue(waiting=3), silent(SILENT_MS - 1)) == []


@pytest.mark.parametrize(
    ("seen", "alert"),
    [
        (
            alerts_of(stats(), fleet(), queue(), silent(660_000)),
            ("Run 12345678 of main has said nothing for 11 min", "/monitor/runs/chatcmpl_12345678-9"),
        ),
        (
            alerts_of(stats(oldest_wait_ms=WAIT_MS), fleet(), queue()),
            ("A run has waited 15 s for a worker", "/monitor/runs?state=queued"),
        ),
        (
            alerts_of(stats(memory=int(FULL * 100), most=100), fleet(), queue()),
            ("Redis uses 80% of its memory", "#redis"),
        ),
        (
            alerts_of(stats(), fleet(lag_ms=LAG_MS), queue()),
            ("API process w was held up for 250 ms", "/monitor/workers"),
        ),
        (
            alerts_of(stats(), fleet("coder"), queue(waiting=2)),
            ("2 runs wait for main, which no worker serves", "/monitor/runs?state=queued&agent=main"),
        ),
        (alerts_of(stats(), fleet(), queue(paused=PAUSED)), ("Agent main is paused by olga", "/monitor/queue")),
        (alerts_of(stats(), fleet(), queue(all_paused=True)), ("The queue is paused by olga", "/monitor/queue")),
    ],
)
def test_what_needs_an_operator(seen: list[tuple[str, str]], alert: tuple[str, str]) -> None:
    assert seen == [alert]


def test_a_lost_worker_and_that_there_is_no_other() -> None:
    assert [text for text, _ in alerts_of(stats(), fleet(state="lost"), queue())] == [
        "No worker takes runs",
        "Worker w was lost",
    ]


def test_a_worker_that_serves_any_agent_serves_each() -> None:
    assert alerts_of(stats(), fleet("*"), queue("whatever", waiting=1)) == []


@pytest.mark.parametrize(
    ("running", "some"), [([700_000, 900_000, 1], "2 runs have"), ([700_000, 900_000], "At least 2 runs have")]
)
def test_many_silent_runs_are_one_alert(running: list[int], some: str) -> None:
    """Only the runs that have been at work for longest are looked at, so the total may be higher."""
    ((text, link),) = alerts_of(stats(), fleet(), queue(), *map(silent, running))
    assert text == f"{some} said nothing for over 10 min, the longest for 15 min"
    assert link == "/monitor/runs?state=running"


def test_the_worst_comes_first() -> None:
    full = stats(oldest_wait_ms=WAIT_MS, memory=int(FULL * 100), most=100)
    found = alerts(full, fleet(), queue(all_paused=True), [])
    assert [alert.level for alert in found] == ["bad", "warn", "warn"]
    assert all(isinstance(alert, Alert) for alert in found)
