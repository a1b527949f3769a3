"""One trace from the client's request to the agent's process."""

from __future__ import annotations

import json
from pathlib import Path

import httpx

from tests.e2e.asking import CHAT, asked, authorised, content
from tests.e2e.collector import collecting
from tests.e2e.service import started
from tests.e2e.waiting import until

SENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_a_trace_goes_from_the_client_to_the_agent(tmp_path: Path) -> None:
    with collecting() as collector:
        settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "50"}
        with started(tmp_path, settings=settings) as service:
            headers = {**authorised(), "traceparent": SENT}
            body = asked("Hi", "environment")
            answer = httpx.post(service.url + CHAT, json=body, headers=headers, timeout=30)
            given = json.loads(content(answer))["TRACEPARENT"]
            until(lambda: len(collector.taken) >= 3)
            ((web, request),) = collector.named("POST")
            ((queue, queued),) = collector.named("wait in queue")
            ((worker, work),) = collector.named("invoke_agent environment")
        assert (web, queue, worker) == ("runrelay-web", "runrelay-worker", "runrelay-worker")
        assert {span.trace_id.hex() for span in (request, queued, work)} == {SENT[3:35]}
        assert request.parent_span_id.hex() == SENT[36:52]
        assert queued.parent_span_id == work.parent_span_id == request.span_id
        assert given == f"00-{SENT[3:35]}-{work.span_id.hex()}-01"
        assert SENT[3:35] in service.webs[0].output
        assert SENT[3:35] in service.workers[0].output


def test_without_opentelemetry_a_clients_trace_reaches_the_agent(tmp_path: Path) -> None:
    with started(tmp_path) as service:
        for headers, given in (({"traceparent": SENT}, SENT), ({"traceparent": "made up"}, None), ({}, None)):
            body = asked("Hi", "environment")
            answer = httpx.post(service.url + CHAT, json=body, headers={**authorised(), **headers}, timeout=30)
            assert json.loads(content(answer)).get("TRACEPARENT") == given


def test_a_collector_that_is_away_disturbs_nobody(tmp_path: Path, unused_port: int) -> None:
    """The processes give up the collector when they stop. The fixture fails if they do not stop."""
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{unused_port}", "OTEL_BSP_SCHEDULE_DELAY": "50"}
    with started(tmp_path, settings=settings) as service:
        answer = httpx.post(service.url + CHAT, json=asked("Hi", "echo"), headers=authorised(), timeout=30)
        assert content(answer) == "Hi"
