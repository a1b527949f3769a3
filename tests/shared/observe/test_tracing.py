from __future__ import annotations

import subprocess
import sys

import pytest

from shared.observe.tracing import NoTracing, is_wanted, tracing, valid_traceparent
from tests.runs import a_run

SENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}


def test_a_traceparent_that_can_be_continued_is_one() -> None:
    assert valid_traceparent(SENT) == SENT


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "made up",
        SENT.upper(),
        SENT + "-x",
        SENT + "\n",
        "01" + SENT[2:],
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01",
    ],
)
def test_any_other_header_begins_a_trace_of_its_own(header: str | None) -> None:
    assert valid_traceparent(header) == ""


def test_without_tracing_a_clients_traceparent_is_handed_on() -> None:
    with NoTracing().request("GET", "/", SENT) as request:
        assert request.traceparent == SENT
    with NoTracing().invocation(a_run(traceparent=SENT), 1, waited=1) as invocation:
        assert invocation.traceparent == SENT


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, False),
        (ENDPOINT, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, True),
        ({**ENDPOINT, "OTEL_SDK_DISABLED": "True"}, False),
        ({**ENDPOINT, "OTEL_TRACES_EXPORTER": "none"}, False),
        ({**ENDPOINT, "OTEL_TRACES_EXPORTER": "otlp"}, True),
    ],
)
def test_opentelemetrys_own_variables_say_whether_traces_are_wanted(environment: dict[str, str], wanted: bool) -> None:
    assert is_wanted(environment) == wanted
    if not wanted:
        with tracing(environment, "web") as tracer:
            assert tracer is None


WITHOUT_OPENTELEMETRY = """
import sys
from shared.observe.tracing import tracing

class Missing:
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] == "opentelemetry":
            raise ModuleNotFoundError(name, name=name)

sys.meta_path.insert(0, Missing())
with tracing({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, "web") as tracer:
    print(tracer)
"""


@pytest.mark.slow
def test_a_service_that_lacks_opentelemetry_says_so_and_goes_on() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_OPENTELEMETRY], capture_output=True, text=True, check=True)
    assert "tracing.off" in done.stdout
    assert "requirements-otel.lock" in done.stdout
    assert done.stdout.strip().endswith("None")


@pytest.mark.slow
def test_nothing_of_opentelemetry_is_imported_by_a_process_that_sends_no_traces() -> None:
    """Except by redis-py, which from its release 7.4 on imports it by itself."""
    shown = "print([m for m in sys.modules if 'opentelemetry' in m])"
    program = f"import sys, redis.asyncio; {shown}; import api.__main__, worker.__main__; {shown}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    by_redis, by_all = done.stdout.splitlines()
    assert by_all == by_redis
