"""Log lines: one per event, for people (`text`) or machines (`json`), on stderr."""

from __future__ import annotations

import logging
import sys
from typing import Literal

import stamina
import structlog
from structlog.typing import Processor


def configure_logs(form: Literal["text", "json"], **facts: str) -> None:
    """Called once by a `__main__`. `facts` stand on every line of the process, as its role."""
    renderer: Processor = (
        structlog.processors.JSONRenderer() if form == "json" else structlog.dev.ConsoleRenderer(colors=False)
    )
    before: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*before, structlog.processors.format_exc_info, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(**facts)
    stamina.instrumentation.set_on_retry_hooks([])  # while Redis is away one line says so, not one per run and second
    # What libraries log goes the same way.
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=before,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,  # left to the renderer, it may show local variables: secrets
                renderer,
            ],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
