"""The seam for traces. A run carries its place in a trace as a W3C `traceparent`, from the request to the agent.

Without OpenTelemetry the agent gets the client's `traceparent` unchanged. Only `shared/observe/otel.py` imports
OpenTelemetry; it puts the service's own spans in between.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

import structlog

from shared.run.run import End, Run

logger = structlog.get_logger()

INSTALL = "pip install --require-hashes -r requirements-otel.lock"

_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


class RequestSpan(Protocol):
    traceparent: str  # for the run that the request creates; empty: no trace

    def answered(self, route: str, status: int) -> None:
        """Notes the response. `route` is the path with the names of its parameters, such as `/v1/runs/{run_id}`."""
        ...


class RunSpan(Protocol):
    traceparent: str  # for the agent; empty: no trace

    def ended(self, end: End) -> None: ...


class Tracer(Protocol):
    def request(self, method: str, path: str, traceparent: str) -> AbstractContextManager[RequestSpan]:
        """A request to the API; `traceparent` is the client's header."""
        ...

    def invocation(self, run: Run, attempt: int, *, waited: float) -> AbstractContextManager[RunSpan]:
        """An agent at work for a run, after `waited` seconds in the queue."""
        ...


class PassedThrough:
    """In place of a span: it hands on the `traceparent` and records nothing."""

    def __init__(self, traceparent: str) -> None:
        self.traceparent = traceparent

    def answered(self, route: str, status: int) -> None: ...
    def ended(self, end: End) -> None: ...


class NoTracing:
    @contextmanager
    def request(self, method: str, path: str, traceparent: str) -> Iterator[PassedThrough]:
        yield PassedThrough(traceparent)

    @contextmanager
    def invocation(self, run: Run, attempt: int, *, waited: float) -> Iterator[PassedThrough]:
        yield PassedThrough(run.traceparent)


def valid_traceparent(header: str | None) -> str:
    """The header if a trace can go on from it, else an empty text: then a new trace begins."""
    return header if header and _TRACEPARENT.fullmatch(header) else ""


def is_wanted(environment: Mapping[str, str]) -> bool:
    """Whether OpenTelemetry's own variables name an endpoint for traces and do not switch traces off."""
    endpoints = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    off = environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    exporter = environment.get("OTEL_TRACES_EXPORTER", "").strip() or "otlp"
    return any(environment.get(name, "").strip() for name in endpoints) and not off and exporter == "otlp"


@contextmanager
def tracing(environment: Mapping[str, str], role: str) -> Iterator[Tracer | None]:
    """The tracer of a process, for a `__main__`; None when the operator wants no traces or OpenTelemetry is not
    installed. OpenTelemetry itself reads endpoint, headers, sampling and resource from the `OTEL_…` variables.
    """
    if not is_wanted(environment):
        yield None
        return
    try:
        from shared.observe.otel import exporting  # here, because the import costs time and memory
    except ModuleNotFoundError as missing:
        logger.warning("tracing.off", missing=missing.name, install=INSTALL)
        yield None
        return
    with exporting(environment.get("OTEL_SERVICE_NAME") or f"runrelay-{role}") as tracer:
        yield tracer
