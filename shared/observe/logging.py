"""Log lines: one per event, for people (`text`) or machines (`json`), on stderr.

Rule 1: the log has the texts of clients and agents only with LOG_CONTENT=1, and this file enforces that. A line may
carry such texts under the names in CONTENT. Without LOG_CONTENT=1 only their lengths are logged. A session key, which
may hold a person's name or address, is logged as a digest, and an exception without its message
(`shared/observe/tracebacks.py`).
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

CONTENT = ("prompt", "answer", "detail")  # fields that hold text of a client or an agent

logger = structlog.get_logger()


def configure_logging(form: Literal["text", "json"], *, content: bool = False, **facts: str) -> None:
    """Configures the log; a `__main__` calls it once. Every line of the process carries `facts`, such as its role. With
    `content`, prompts, answers, session keys and the messages of exceptions are logged as they are.
    """
    renderer: Processor = structlog.processors.JSONRenderer() if form == "json" else _as_text
    before: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        _Facts(facts),
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    # The renderer's own tracebacks may show local variables, which may be secrets.
    after: list[Processor] = [structlog.processors.format_exc_info, renderer]
    if not content:
        after = [_without_content, structlog.processors.ExceptionRenderer(traceback_without_messages), renderer]
    structlog.configure(
        processors=[*before, *after],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    stamina.instrumentation.set_on_retry_hooks([])  # an outage of Redis is one line, not one per run and second
    # Lines of libraries pass the same processors.
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=before,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *after],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)


def log_errors_of(loop: asyncio.AbstractEventLoop) -> None:
    """Logs the errors that no task of the loop awaits. asyncio's own line would show the exception's message in the
    task's repr."""
    loop.set_exception_handler(_loop_error)


def run_fields(run: Run, attempt: int = 0) -> dict[str, str | int]:
    """The fields of every line about a run; `attempt` only where the caller knows one."""
    facts: dict[str, str | int] = {"run": run.run_id, "session": run.session_key, "agent": run.agent_id}
    return {**facts, "attempt": attempt} if attempt else facts


def end_fields(end: End) -> dict[str, str]:
    """The fields of the line about a run's end."""
    fields = {"code": end.code, "reason": end.reason, "detail": end.detail, "answer": end.text}
    return {"state": end.state.value, **{name: str(value) for name, value in fields.items() if value}}


def bind_run(run: Run, attempt: int = 0) -> None:
    """Adds the run's fields to all further lines of this task."""
    bind_contextvars(**run_fields(run, attempt))


def session_digest(session_key: str) -> str:
    """Twelve characters by which an operator finds the lines of a session:
    `printf %s KEY | sha256sum | cut -c1-12`."""
    return sha256(session_key.encode()).hexdigest()[:12]


class _Facts:
    def __init__(self, facts: dict[str, str]) -> None:
        self._facts = facts

    def __call__(self, _: WrappedLogger, __: str, line: EventDict) -> EventDict:
        line.update(self._facts)
        return line


def _without_content(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    for name in CONTENT:
        if text := line.pop(name, None):
            line[f"{name}_chars"] = len(text)  # an operator still sees that there was a text
    if "session" in line:
        line["session"] = session_digest(line["session"])
    return line


_PLAIN = re.compile(r"[!#-&(-<>-~]+")  # visible ASCII except quotes and =


def _as_text(_: WrappedLogger, __: str, line: EventDict) -> str:
    """Renders a line in the form of structlog's ConsoleRenderer, at a fifth of its cost: every run logs at least two
    lines."""
    exception = line.pop("exception", None)
    head = f"{line.pop('timestamp')} [{line.pop('level'):<9}] {line.pop('event'):<30}"
    facts = " ".join(f"{name}={_shown(value)}" for name, value in sorted(line.items()))
    return f"{head} {facts}\n{exception}" if exception else f"{head} {facts}"


def _shown(value: object) -> str:
    """The value as text, quoted unless it is plain, so that an operator sees where it ends."""
    return value if isinstance(value, str) and _PLAIN.fullmatch(value) else repr(value)


def _loop_error(_: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    logger.error("loop.error", what=context["message"], exc_info=context.get("exception"))
