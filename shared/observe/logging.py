"""Log lines: one per event, for people (`text`) or machines (`json`), on stderr.

Rule 1: what clients and agents say is written only with LOG_CONTENT=1, and this file sees to it. A line may carry it
under the names in CONTENT; a session key, which may hold a person's name or address, stands on it as a digest; and an
exception without its words (`shared/observe/tracebacks.py`).
"""

from __future__ import annotations

import asyncio
import logging
import re
import sys
from hashlib import sha256
from typing import Literal

import stamina
import structlog
from structlog.contextvars import bind_contextvars
from structlog.typing import EventDict, Processor, WrappedLogger

from shared.observe.tracebacks import traceback_without_messages
from shared.run.run import End, Run

CONTENT = ("prompt", "answer", "detail")  # fields that hold what a client or an agent has said

logger = structlog.get_logger()


def configure_logging(form: Literal["text", "json"], *, content: bool = False, **facts: str) -> None:
    """Called once by a `__main__`. `facts` stand on every line of the process, as its role. `content`: prompts,
    answers, session keys and the words of exceptions are logged as they are.
    """
    renderer: Processor = structlog.processors.JSONRenderer() if form == "json" else _as_text
    before: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        _Facts(facts),
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    # Left to the renderer, a traceback may show local variables: secrets.
    after: list[Processor] = [structlog.processors.format_exc_info, renderer]
    if not content:
        after = [_without_content, structlog.processors.ExceptionRenderer(traceback_without_messages), renderer]
    structlog.configure(
        processors=[*before, *after],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    stamina.instrumentation.set_on_retry_hooks([])  # while Redis is away one line says so, not one per run and second
    # What libraries log goes the same way.
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=before,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *after],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)


def log_errors_of(loop: asyncio.AbstractEventLoop) -> None:
    """For what nobody awaits in it. asyncio's own line shows the exception within a task's repr."""
    loop.set_exception_handler(_loop_error)


def run_fields(run: Run, attempt: int = 0) -> dict[str, str | int]:
    """What stands on every line about a run; `attempt` where one is known."""
    facts: dict[str, str | int] = {"run": run.run_id, "session": run.session_key, "agent": run.agent_id}
    return {**facts, "attempt": attempt} if attempt else facts


def end_fields(end: End) -> dict[str, str]:
    """How a run ended, for a line about it."""
    said = {"code": end.code, "reason": end.reason, "detail": end.detail, "answer": end.text}
    return {"state": end.state.value, **{name: str(value) for name, value in said.items() if value}}


def bind_run(run: Run, attempt: int = 0) -> None:
    """From here on all lines of this task are about a run."""
    bind_contextvars(**run_fields(run, attempt))


def session_digest(session_key: str) -> str:
    """Twelve characters by which lines of a session are found: `printf %s KEY | sha256sum | cut -c1-12`."""
    return sha256(session_key.encode()).hexdigest()[:12]


class _Facts:
    def __init__(self, facts: dict[str, str]) -> None:
        self._facts = facts

    def __call__(self, _: WrappedLogger, __: str, line: EventDict) -> EventDict:
        line.update(self._facts)
        return line


def _without_content(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    for name in CONTENT:
        if said := line.pop(name, None):
            line[f"{name}_chars"] = len(said)  # so that a reader knows that there is something
    if "session" in line:
        line["session"] = session_digest(line["session"])
    return line


_PLAIN = re.compile(r"[!#-&(-<>-~]+")  # ASCII that can be seen, but quotes and =


def _as_text(_: WrappedLogger, __: str, line: EventDict) -> str:
    """As structlog's ConsoleRenderer has it, at a fifth of its cost: every run makes two lines and more."""
    exception = line.pop("exception", None)
    head = f"{line.pop('timestamp')} [{line.pop('level'):<9}] {line.pop('event'):<30}"
    facts = " ".join(f"{name}={_shown(value)}" for name, value in sorted(line.items()))
    return f"{head} {facts}\n{exception}" if exception else f"{head} {facts}"


def _shown(value: object) -> str:
    """So that it ends where it seems to."""
    return value if isinstance(value, str) and _PLAIN.fullmatch(value) else repr(value)


def _loop_error(_: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    logger.error("loop.error", what=context["message"], exc_info=context.get("exception"))
