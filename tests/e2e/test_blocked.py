"""Python agents that block the event loop they run in."""

from __future__ import annotations

import signal
from pathlib import Path

import httpx

from tests.e2e.asking import CHAT, asked, authorised, content
from tests.e2e.play import Play, block, say
from tests.e2e.service import Service, started
from tests.e2e.waiting import until


def test_an_agent_that_cannot_be_stopped_costs_neither_slot_nor_worker(tmp_path: Path) -> None:
    settings = {"WORKER_CONCURRENCY": "1", "DRAIN_SECONDS": "0.1"}
    with (
        started(tmp_path, settings=settings) as service,
        httpx.Client(base_url=service.url, headers=authorised(), timeout=30) as http,
    ):
        worker, plays = service.workers[0], [service.play(block("never"), say("too late")) for _ in range(2)]
        run_id = begun(http, service, plays[0])
        http.post(f"/v1/runs/{run_id}/cancel")
        assert http.get(f"/v1/runs/{run_id}/wait").json()["state"] == "cancelled"
        assert "agent.stuck" in worker.output
        assert content(http.post(CHAT, json=asked(service.play(say("Hi")).message, "scripted"))) == "Hi"
        begun(http, service, plays[1])
        worker.signal(signal.SIGTERM)
        assert worker.exit_code() == 0
        assert [len(play.starts) for play in plays] == [1, 1]


def begun(http: httpx.Client, service: Service, play: Play) -> str:
    """The id of a run that has begun to block."""
    made = http.post("/v1/runs", json={"agent": "scripted", "input": play.message})
    assert made.status_code == 202
    until(lambda: play.starts)
    return str(made.json()["id"])
