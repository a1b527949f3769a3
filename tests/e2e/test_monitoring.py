"""The metrics of a real service."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families as families

from tests.e2e.asking import authorised
from tests.e2e.service import Service, started
from tests.e2e.waiting import until
from tests.ports import free_port

TOKEN = "metrics-token"


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = {"METRICS_TOKEN": TOKEN, "METRICS_PORT": str(free_port()), "LOG_FORMAT": "json"}
    with started(tmp_path_factory.mktemp("watched"), settings=settings) as service:
        yield service


def numbers(url: str) -> dict[tuple[str, tuple[str, ...]], float]:
    answer = httpx.get(f"{url}/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).raise_for_status()
    samples = [sample for family in families(answer.text) for sample in family.samples]
    return {(sample.name, tuple(sample.labels.values())): sample.value for sample in samples}


def worker_url(service: Service) -> str:
    return f"http://127.0.0.1:{service.setting('METRICS_PORT')}"


def test_a_run_shows_on_both_sides(watched: Service) -> None:
    answer = httpx.post(f"{watched.url}/v1/runs", json={"agent": "echo", "input": "Hi"}, headers=authorised())
    assert answer.status_code == 202
    ended = ("runrelay_runs_ended_total", ("echo", "", "completed"))
    until(lambda: numbers(worker_url(watched)).get(ended))
    worker = numbers(worker_url(watched))
    assert worker["runrelay_attempts_total", ("echo",)] == 1
    assert worker["runrelay_queue_wait_seconds_count", ("echo",)] == 1
    assert worker["runrelay_time_to_first_delta_seconds_count", ("echo",)] == 1
    assert worker["runrelay_redis_round_trip_seconds_count", ()] > 0
    web = numbers(watched.url)
    assert web["runrelay_runs_accepted_total", ("echo",)] == 1
    assert web["runrelay_workers", ("serving",)] == 1
    assert web["runrelay_waiting_runs", ("echo",)] == 0
    assert web["runrelay_redis_up", ()] == 1
    assert web["process_resident_memory_bytes", ()] > 0


def test_nobody_reads_it_without_the_token(watched: Service) -> None:
    for url in (watched.url, worker_url(watched)):
        assert httpx.get(f"{url}/metrics").status_code == 401
        assert httpx.get(f"{url}/metrics", headers=authorised()).status_code == 401
        assert httpx.get(f"{url}/healthz").status_code == 200
