"""Announcements of made-up workers."""

from __future__ import annotations

from typing import Literal

from shared.ledger.presence import Announcement, ServedAgent
from shared.run.run import Policy


def announcement(
    worker: str = "w1", *agents: str, state: Literal["serving", "draining", "gone"] = "serving"
) -> Announcement:
    served = {agent: ServedAgent(kind="python", policy=Policy(max_attempts=7)) for agent in agents or ("main",)}
    return Announcement(
        worker=worker, host="h\u2028", pid=1, version="1", state=state, slots=10, running=3, since_ms=1, agents=served
    )
