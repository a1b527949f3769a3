"""How hard a process looks for garbage. Python's own measure is for programs that end soon."""

from __future__ import annotations

import gc

# Objects that may be made, and not freed, before the youngest are looked at. A handful of requests under way reach
# Python's own number of 700, and the look is in vain: what they hold is freed without it when they end.
YOUNG = 10_000


def freeze_startup_objects() -> None:
    """Called by a `__main__` when all is open. What was made until now, as modules and settings, lives as long as the
    process: it is not looked at any more. Cycles that are made from now on are found, only later."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG)
