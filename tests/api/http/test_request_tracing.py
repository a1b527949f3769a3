from __future__ import annotations

import httpx
import pytest

from shared.ledger.ledger import Ledger
from tests.api.running import chat, running_api
from tests.api.stage import Stage
from tests.broker import Broker
from tests.spans import Spans, facts, parent, place

SENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize("headers", [{}, {"traceparent": SENT}, {"traceparent": "made up"}])
async def test_a_run_goes_on_where_its_request_is(
    broker: Broker, stage: Stage, ledger: Ledger, headers: dict[str, str]
) -> None:
    spans = Spans()
    async with running_api(broker, tracer=spans.tracer) as api, api.client() as client:
        answer = await client.post("/v1/runs", json={"input": "Hi"}, headers=headers)
        run_id = answer.json()["id"]
        record = await ledger.record(run_id)
    span = spans.named("POST")
    assert record is not None
    assert record.run.traceparent == place(span)
    assert facts(span)["http.route"] == "/v1/runs"
    if headers == {"traceparent": SENT}:
        assert parent(span) == SENT
    else:
        assert span.parent is None


async def test_the_span_of_a_stream_ends_with_the_stream(broker: Broker, stage: Stage) -> None:
    spans = Spans()
    async with (
        running_api(broker, tracer=spans.tracer) as api,
        api.client() as client,
        client.stream("POST", "/v1/chat/completions", json=chat(stream=True)) as answer,
    ):
        assert len(spans) == 0
        await (await stage.take("Hello")).end()
        await answer.aread()
    assert facts(spans.named("POST"))["http.response.status_code"] == 200


async def test_probes_and_scrapes_are_in_no_trace(broker: Broker, stage: Stage) -> None:
    spans = Spans()
    async with running_api(broker, tracer=spans.tracer) as api, api.client() as client:
        for path in ("/healthz", "/readyz", "/metrics", "/nowhere"):
            await client.get(path)
    assert [facts(spans.named(name))["url.path"] for name in spans.names] == ["/nowhere"]


@pytest.mark.parametrize(("sent", "carried"), [(SENT, SENT), ("made up", ""), ("", "")])
async def test_without_tracing_a_run_carries_what_its_client_sent(
    alice: httpx.AsyncClient, ledger: Ledger, sent: str, carried: str
) -> None:
    answer = await alice.post("/v1/runs", json={"input": "Hi"}, headers={"traceparent": sent})
    record = await ledger.record(answer.json()["id"])
    assert record is not None
    assert record.run.traceparent == carried


async def test_a_run_that_is_run_again_is_in_no_earlier_trace(
    alice: httpx.AsyncClient, olga: httpx.AsyncClient, stage: Stage, ledger: Ledger
) -> None:
    old = (await alice.post("/v1/runs", json={"input": "Hi"}, headers={"traceparent": SENT})).json()["id"]
    await (await stage.take("Hello")).end()
    new = (await olga.post(f"/v1/admin/runs/{old}/retry")).json()["id"]
    record = await ledger.record(new)
    assert record is not None
    assert record.run.traceparent == ""
