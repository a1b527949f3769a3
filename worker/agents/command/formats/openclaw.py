"""OpenClaw: `openclaw agent exec --json`, and `openclaw agent --local --json`.

The CLI prints one object at the end, with the answer as `payloads`, each of which is a message. The second command has
the token counts in `meta`. The CLI prints neither pieces nor tools nor thoughts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from shared.run.errors import RunError
from shared.run.events import Usage
from worker.agents.agent_errors import agent_error, incomplete
from worker.agents.command.formats.format import NEW_MESSAGE, FormatEvent, Object, objects, skipped
from worker.agents.token_counts import token_count, token_usage


class OpenClaw:
    busy = False  # it tells of no work in the background

    def __init__(self) -> None:
        self._done = False

    def read(self, printed: Object) -> Iterator[FormatEvent]:
        match printed:
            case {"payloads": list(payloads)}:
                yield from _counted(printed)
                if failure := _failure(printed):
                    raise failure
                yield from (event for payload in objects(payloads) for event in _text(payload))
                self._done = True
            case _:
                yield skipped(printed)

    @property
    def over(self) -> bool:
        return self._done

    def read_head(self, head: Object) -> Iterable[FormatEvent] | None:
        return None

    def failure(self, code: int) -> RunError | None:
        return None if code or self._done else incomplete()


def _text(payload: Object) -> Iterator[FormatEvent]:
    match payload:
        case {"text": str(text)} if payload.get("isError") is not True:
            yield NEW_MESSAGE
            yield text


def _counted(printed: Object) -> Iterator[Usage]:
    match printed:
        case {"usage": dict(usage)} | {"meta": {"agentMeta": {"usage": dict(usage)}}}:
            prompt = sum(token_count(usage.get(name)) for name in ("input", "cacheRead", "cacheWrite"))
            yield token_usage(prompt=prompt, completion=token_count(usage.get("output")))


def _failure(printed: Object) -> RunError | None:
    match printed:
        case {"error": {"message": str(message)}} | {"meta": {"error": {"message": str(message)}}}:
            return agent_error(message)
        case {"ok": False} | {"meta": {"aborted": True}}:
            return agent_error("")
        case _:
            return None
