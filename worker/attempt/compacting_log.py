"""An event log that compacts the logs of ended runs, one after the other, while other runs go on.

Neither a run nor a stop of the worker waits for it. A log that its worker did not compact before it ended is complete
and merely large.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

import structlog
from structlog.contextvars import get_contextvars

from shared.log.event_log import Head
from shared.observe.supervision import Beat
from shared.redis.keys import Keys
from shared.redis.pipe import Pipe
from shared.run.errors import LogLost, Unavailable, Unreadable
from shared.run.events import Event
from shared.run.run import End
from worker.attempt.counting_log import CountingLog

logger = structlog.get_logger()

WORTH_IT = 64  # events; fewer take little room as they are
AGAIN_SECONDS = 0.5  # between tries while Redis is away
WAITING = 1_000  # logs; when more wait to be compacted, the oldest of them stay as they are


class CompactingLog(CountingLog):
    def __init__(self, pipe: Pipe, keys: Keys, *, retention_ms: int, waiting: int = WAITING) -> None:
        super().__init__(pipe, keys, retention_ms=retention_ms)
        self._closed: deque[tuple[str, dict[str, object]]] = deque(maxlen=waiting)
        self._wake = asyncio.Event()

    async def close(self, events: Sequence[Event], head: Head, end: End) -> None:
        await super().close(events, head, end)
        if head.seq > WORTH_IT:
            self._closed.append((events[0].run_id, get_contextvars()))
            self._wake.set()

    async def compact_forever(self, beat: Beat) -> None:
        while True:
            await beat.until(self._wake)
            self._wake.clear()
            while self._closed:
                beat()
                if not await self._compact_log(*self._closed[0]):
                    await beat.sleep(AGAIN_SECONDS)
                elif self._closed:
                    self._closed.popleft()

    async def _compact_log(self, run_id: str, facts: dict[str, object]) -> bool:
        """Returns False when Redis is away. `facts` are the fields of every log line about the run."""
        try:
            await self.compact(run_id)
        except (LogLost, Unreadable, ValueError) as why:
            logger.warning("run.not_compacted", **facts, why=type(why).__name__)
        except Unavailable:
            return False
        return True
