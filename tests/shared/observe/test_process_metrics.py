from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry

from shared.observe.process_metrics import ProcessMetrics, agent_label, exposition
from shared.run.errors import ErrorCode
from shared.run.events import StopReason
from shared.run.run import End
from shared.run.states import State


def test_an_agent_that_nobody_has_configured_is_no_label() -> None:
    """`[agents."*"]` serves any id, so clients could create any number of time series."""
    assert agent_label("main", {"main", "*"}) == "main"
    assert agent_label("made-up-4711", {"main", "*"}) == "*"


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (End(state=State.COMPLETED), ""),
        (End(state=State.FAILED, code=ErrorCode.RUN_TIMEOUT), "run_timeout"),
        (End(state=State.FAILED, code="of-a-later-release"), "other"),
        (End(state=State.CANCELLED, reason=StopReason.DISCONNECT), "disconnect"),
    ],
)
def test_an_end_is_counted_with_why(end: End, code: str) -> None:
    registry = CollectorRegistry()
    ProcessMetrics(registry).count_end("main", end)
    labels = {"agent": "main", "state": end.state.value, "code": code}
    assert registry.get_sample_value("runrelay_runs_ended_total", labels) == 1


def test_two_processes_in_one_test_do_not_share_numbers() -> None:
    one, other = CollectorRegistry(), CollectorRegistry()
    ProcessMetrics(one).failed()
    ProcessMetrics(other)
    assert one.get_sample_value("runrelay_redis_failed_round_trips_total") == 1
    assert other.get_sample_value("runrelay_redis_failed_round_trips_total") == 0


@pytest.mark.parametrize("accept", ["", "text/plain", "application/openmetrics-text; version=1.0.0"])
def test_the_scraper_gets_the_form_it_prefers(accept: str) -> None:
    registry = CollectorRegistry()
    ProcessMetrics(registry).answered(0.001)
    body, content_type = exposition(registry, accept)
    assert content_type.startswith(accept.partition(";")[0] or "text/plain")
    assert b"runrelay_redis_round_trip_seconds_count 1.0" in body
    assert (b"# EOF" in body) == ("openmetrics" in accept)
