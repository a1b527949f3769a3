from __future__ import annotations

import pytest

from cli.doctor.away import away


@pytest.mark.parametrize(
    ("error", "seen", "do"),
    [
        ("OutOfMemoryError", "full", "RETENTION_SECONDS"),
        ("ReadOnlyError", "a replica", "Point EVENTS_REDIS_URL at the primary"),
        ("BusyLoadingError", "loading", "Wait"),
        ("MasterNotFoundError", "no sentinel", "EVENTS_REDIS_URL"),
        ("ConnectionError ConnectionRefusedError", "nothing listens", "EVENTS_REDIS_URL"),
        ("ConnectionError gaierror", "no address", "the host of EVENTS_REDIS_URL"),
        ("ConnectionError SSLCertVerificationError", "certificate", "ssl_ca_certs"),
        ("InvalidResponse", "no Redis", "EVENTS_REDIS_URL"),
        ("ResponseError FROBNICATE", "does not answer (ResponseError FROBNICATE)", "EVENTS_REDIS_URL"),
        ("ConnectionError", "does not answer (ConnectionError)", "Start it"),
    ],
)
def test_each_state_is_told_apart(error: str, seen: str, do: str) -> None:
    finding = away(error, "EVENTS_REDIS_URL")
    assert seen in finding.seen
    assert do in finding.do
