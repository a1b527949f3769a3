"""The built-in agent, for a service that has no other agent yet."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from itertools import pairwise

from anyio import sleep

from shared.run.events import Delta
from worker.agents.protocol import AgentEvent, AgentInput

GREETING = (
    "This is runrelay's demo agent. "
    "To add a real one, write an [agents.main] table into agents.toml; README.md shows how. You said:"
)
WORD_SECONDS = 0.02  # so that a user sees the streaming
SLOW_WORDS = 100  # the rest comes at once: a demo of streaming need not take an hour

_WORD = re.compile(r"\s*\S+\s*|\s+")


class DemoAgent:
    """Answers with two messages: a greeting, and an exact copy of the client's message."""

    def __init__(self, *, word_seconds: float = WORD_SECONDS) -> None:
        self._word_seconds = word_seconds

    async def run(self, input: AgentInput) -> AsyncGenerator[AgentEvent, None]:
        yield Delta(delta=GREETING)
        for word in _words(input.message):
            await sleep(self._word_seconds)
            yield Delta(delta=word, message=1)


def _words(text: str) -> list[str]:
    ends = [match.end() for match in _WORD.finditer(text)]
    cuts = [0, *ends[: SLOW_WORDS - 1], len(text)]
    return [text[a:b] for a, b in pairwise(cuts) if a < b]
