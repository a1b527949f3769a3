"""Logs an outage: one line when it begins and one when it is over, however many tries fail in between."""

from __future__ import annotations

import structlog

from shared.run.errors import Unavailable

logger = structlog.get_logger()


class Outage:
    """The outages of one link to Redis, or of one use of it. Its user reports each try. `name` begins the names of the
    logged events."""

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
