from __future__ import annotations

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode, get_current_span

from shared.observe.logging import session_digest
from shared.run.events import StopReason, Tokens
from shared.run.run import End
from shared.run.states import State
from tests.runs import a_run
from tests.spans import Spans, facts, parent, place

SENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNSAMPLED = SENT[:-2] + "00"


@pytest.fixture
def spans() -> Spans:
    return Spans()


def test_a_request_goes_on_with_its_clients_trace(spans: Spans) -> None:
    with spans.tracer.request("GET", "/v1/runs/1", SENT) as request:
        request.answered("/v1/runs/{run_id}", 404)
    span = spans.named("GET")
    assert (parent(span), place(span)) == (SENT, request.traceparent)
    assert span.kind is SpanKind.SERVER
    assert facts(span) == {
        "http.request.method": "GET",
        "url.path": "/v1/runs/1",
        "http.route": "/v1/runs/{run_id}",
        "http.response.status_code": 404,
    }
    assert span.status.status_code is StatusCode.UNSET, "a client's mistake is no error of the server"


def test_without_one_it_begins_a_trace(spans: Spans) -> None:
    with spans.tracer.request("GET", "/", "") as one, spans.tracer.request("GET", "/", "made up") as other:
        assert one.traceparent[3:35] != other.traceparent[3:35]


def test_a_failure_of_the_server_is_an_error(spans: Spans) -> None:
    with spans.tracer.request("GET", "/", "") as request:
        request.answered("/", 503)
    assert spans.named("GET").status.status_code is StatusCode.ERROR
    assert facts(spans.named("GET"))["error.type"] == "503"


def test_what_a_client_does_not_want_sampled_is_not(spans: Spans) -> None:
    """The agent's traceparent carries the flag on."""
    with spans.tracer.invocation(a_run(traceparent=UNSAMPLED), 1, waited=1) as invocation:
        assert invocation.traceparent.endswith("-00")
        assert invocation.traceparent[3:35] == UNSAMPLED[3:35]
    assert len(spans) == 0


def test_an_agent_at_work_is_a_span_of_the_genai_conventions(spans: Spans) -> None:
    run = a_run(traceparent=SENT, agent_id="coder")
    with spans.tracer.invocation(run, 2, waited=0) as invocation:
        assert get_current_span().get_span_context().trace_id == int(SENT[3:35], 16), "for an agent's own spans"
        usage = Tokens(prompt_tokens=7, completion_tokens=2)
        invocation.ended(End(state=State.COMPLETED, text="secret", finish_reason="stop", usage=usage))
    span = spans.named("invoke_agent coder")
    assert (parent(span), place(span)) == (SENT, invocation.traceparent)
    assert facts(span) == {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.provider.name": "runrelay",
        "gen_ai.agent.id": "coder",
        "gen_ai.agent.name": "coder",
        "gen_ai.conversation.id": session_digest(run.session_key),
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 2,
        "gen_ai.response.finish_reasons": ("stop",),
        "runrelay.run.id": run.run_id,
        "runrelay.run.attempt": 2,
        "runrelay.run.state": "completed",
    }


def test_a_failed_run_is_an_error_without_its_words(spans: Spans) -> None:
    with spans.tracer.invocation(a_run(), 1, waited=0) as invocation:
        invocation.ended(End(state=State.FAILED, code="agent_failed", message="secret", detail="secret"))
    span = spans.named("invoke_agent main")
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, None)
    assert facts(span)["error.type"] == "agent_failed"
    assert "secret" not in span.to_json()


def test_a_cancelled_run_is_none(spans: Spans) -> None:
    with spans.tracer.invocation(a_run(), 1, waited=0) as invocation:
        invocation.ended(End(state=State.CANCELLED, reason=StopReason.USER))
    span = spans.named("invoke_agent main")
    assert span.status.status_code is StatusCode.UNSET
    assert facts(span)["runrelay.run.cancelled_by"] == "user"


def test_an_exception_passes_without_a_word(spans: Spans) -> None:
    with pytest.raises(ValueError, match="secret"), spans.tracer.invocation(a_run(), 1, waited=0):
        raise ValueError("secret")
    assert "secret" not in spans.named("invoke_agent main").to_json()


def test_the_wait_in_the_queue_is_a_span_that_ends_where_the_work_begins(spans: Spans) -> None:
    with spans.tracer.invocation(a_run(traceparent=SENT), 1, waited=2.5):
        pass
    queued, work = spans.named("wait in queue"), spans.named("invoke_agent main")
    assert parent(queued) == parent(work) == SENT
    assert _seconds(queued) == 2.5
    assert (queued.end_time or 0) <= (work.start_time or 0)


def _seconds(span: ReadableSpan) -> float:
    return ((span.end_time or 0) - (span.start_time or 0)) / 1e9
