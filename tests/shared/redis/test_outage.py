from __future__ import annotations

from structlog.testing import capture_logs

from shared.redis.outage import Outage
from shared.run.errors import Unavailable


def test_an_outage_is_told_when_it_begins_and_when_it_is_over() -> None:
    outage = Outage("link")
    with capture_logs() as lines:
        outage.worked()
        for why in ("TimeoutError", "ConnectionError"):
            outage.failed(Unavailable(why))
        for _ in range(2):
            outage.worked()
        outage.failed(Unavailable("ReadOnlyError"))
    assert lines == [
        {"event": "link.unavailable", "log_level": "warning", "why": "TimeoutError"},
        {"event": "link.available", "log_level": "info"},
        {"event": "link.unavailable", "log_level": "warning", "why": "ReadOnlyError"},
    ]
