"""How often the garbage collector of a process runs. Python's default suits programs that end soon."""

from __future__ import annotations

import gc

# The collector examines the youngest objects when this many more were created than freed. A handful of requests under
# way reach Python's default of 700, and that collection finds nothing: reference counts free what a request holds when
# it ends.
YOUNG = 10_000


def freeze_startup_objects() -> None:
    """A `__main__` calls it when all resources are open. The objects that exist now, such as modules and settings, live
    as long as the process, so the collector skips them from now on. It still finds later cycles, but less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG)
