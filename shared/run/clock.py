"""The clock of this process."""

from __future__ import annotations

import time


def now_ms() -> int:
    """Milliseconds since the epoch, for display only. Leases and waits go by Redis's clock."""
    return time.time_ns() // 1_000_000
