"""Traces by OpenTelemetry. Only this file imports OpenTelemetry, and a process imports this file only when it sends
traces.

Names are those of OpenTelemetry's semantic conventions, for HTTP servers and for GenAI agents. No span holds text of a
client or an agent, nor the message of an exception. A span has the digest of a session, as the log has.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue
from structlog.contextvars import bind_contextvars

from shared.observe.logging import session_digest
from shared.run.release import RELEASE
from shared.run.run import End, Run
from shared.run.states import State

FLUSH_SECONDS = 2.0  # time for the last spans at the end; a process must be able to stop while the collector is away

_W3C = TraceContextTextMapPropagator()


class OtelTracer:
    """A `shared.observe.tracing.Tracer`."""

    def __init__(self, provider: TracerProvider) -> None:
        self._tracer = provider.get_tracer("runrelay", RELEASE)

    @contextmanager
    def request(self, method: str, path: str, traceparent: str) -> Iterator[OtelSpan]:
        facts: dict[str, AttributeValue] = {"http.request.method": method, "url.path": path}
        with self._span(method, SpanKind.SERVER, _context(traceparent), facts) as span:
            yield OtelSpan(span)

    @contextmanager
    def invocation(self, run: Run, attempt: int, *, waited: float) -> Iterator[OtelSpan]:
        parent = _context(run.traceparent)
        if waited > 0:
            now = time.time_ns()
            queued = self._tracer.start_span("wait in queue", parent, start_time=now - int(waited * 1e9))
            queued.end(now)
        facts: dict[str, AttributeValue] = {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.provider.name": "runrelay",
            "gen_ai.agent.id": run.agent_id,
            "gen_ai.agent.name": run.agent_id,
            "gen_ai.conversation.id": session_digest(run.session_key),
            "runrelay.run.id": run.run_id,
            "runrelay.run.attempt": attempt,
        }
        with self._span(f"invoke_agent {run.agent_id}", SpanKind.INTERNAL, parent, facts) as span:
            yield OtelSpan(span)

    @contextmanager
    def _span(self, name: str, kind: SpanKind, parent: Context, facts: dict[str, AttributeValue]) -> Iterator[Span]:
        # An exception's message is content, and its type is in the log.
        with self._tracer.start_as_current_span(
            name, parent, kind, facts, record_exception=False, set_status_on_exception=False
        ) as span:
            bind_contextvars(trace=f"{span.get_span_context().trace_id:032x}")
            yield span


class OtelSpan:
    """A `RequestSpan` and a `RunSpan`."""

    def __init__(self, span: Span) -> None:
        self._span = span
        carrier: dict[str, str] = {}
        _W3C.inject(carrier)
        self.traceparent = carrier.get("traceparent", "")

    def answered(self, route: str, status: int) -> None:
        self._span.set_attributes({"http.route": route, "http.response.status_code": status})
        if status >= 500:
            self._fail(str(status))

    def ended(self, end: End) -> None:
        facts: dict[str, AttributeValue] = {
            "gen_ai.usage.input_tokens": end.usage.prompt_tokens,
            "gen_ai.usage.output_tokens": end.usage.completion_tokens,
            "runrelay.run.state": end.state.value,
        }
        if end.finish_reason:
            facts["gen_ai.response.finish_reasons"] = (end.finish_reason,)
        self._span.set_attributes(facts)
        if end.state is State.FAILED:
            self._fail(end.code)
        elif end.reason is not None:
            self._span.set_attribute("runrelay.run.cancelled_by", end.reason.value)

    def _fail(self, kind: str) -> None:
        self._span.set_attribute("error.type", kind)
        self._span.set_status(Status(StatusCode.ERROR))


@contextmanager
def exporting(service: str) -> Iterator[OtelTracer]:
    """A tracer whose spans OpenTelemetry sends in batches, from a thread of its own. OpenTelemetry reads the endpoint,
    the headers, the sampler and the rest of the resource from the `OTEL_…` variables."""
    resource = Resource.create({"service.name": service, "service.version": RELEASE})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    try:
        yield OtelTracer(provider)
    finally:
        last = threading.Thread(target=provider.shutdown, name="last spans", daemon=True)
        last.start()
        last.join(FLUSH_SECONDS)


def _context(traceparent: str) -> Context:
    """The context in which a trace goes on. Without a traceparent a new trace begins, even when a span is current."""
    return _W3C.extract({"traceparent": traceparent}, Context())
