"""Whether this process is about to stop. Between the signal and the moment at which it takes no more requests, its
readiness check already says so, and load balancers have the time to send their requests elsewhere."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Departure:
    announced: bool = False
