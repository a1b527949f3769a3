"""An outage in the log: one line when it begins and one when it is over, however often somebody tries in between."""

from __future__ import annotations

import structlog

from shared.run.errors import Unavailable

logger = structlog.get_logger()


class Outage:
    """Of one link to Redis, or of one use of it; `name` begins its lines. To be told of each try."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._on = False

    def failed(self, why: Unavailable) -> None:
        if not self._on:
            self._on = True
            logger.warning(f"{self._name}.unavailable", why=str(why))

    def worked(self) -> None:
        if self._on:
            self._on = False
            logger.info(f"{self._name}.available")
