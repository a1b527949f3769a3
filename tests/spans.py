"""Traces for a test to read."""

from __future__ import annotations

from collections.abc import Mapping

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext

from shared.observe.otel import OtelTracer


class Spans:
    def __init__(self) -> None:
        provider = TracerProvider(shutdown_on_exit=False)
        self._exporter = InMemorySpanExporter()
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = OtelTracer(provider)

    def __len__(self) -> int:
        return len(self._exporter.get_finished_spans())

    def named(self, name: str) -> ReadableSpan:
        (span,) = (span for span in self._exporter.get_finished_spans() if span.name == name)
        return span

    @property
    def names(self) -> list[str]:
        return sorted(span.name for span in self._exporter.get_finished_spans())


def facts(span: ReadableSpan) -> Mapping[str, object]:
    return span.attributes or {}


def place(span: ReadableSpan) -> str:
    """The traceparent of the span."""
    return _traceparent(span.context)


def parent(span: ReadableSpan) -> str:
    """The traceparent of the span's parent."""
    assert span.parent is not None
    return _traceparent(span.parent)


def _traceparent(context: SpanContext) -> str:
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
