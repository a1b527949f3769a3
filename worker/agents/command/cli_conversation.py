"""Continues a conversation that a CLI keeps by itself.

The CLI prints the name of the conversation before any text. When a CLI that should continue one does not print that
name, it has lost the conversation: its files are on another machine, have expired, were removed, or do not fit its
version. No text was printed by then, so the agent starts the CLI again, with the transcript. The agent decides by the
CLI's actions and not by its error texts, which differ between CLIs and change with their versions.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

import structlog

from shared.run.errors import RunError
from shared.run.events import Tokens, Usage
from worker.agents.command.argument import is_place
from worker.agents.protocol import AgentConversation, AgentInput, AgentOutput

logger = structlog.get_logger()

CONVERSATION = "{conversation}"

Start = Callable[[AgentInput], AsyncGenerator[AgentOutput, None]]

_PLACE = re.compile(r"(--?[A-Za-z][\w-]*=)?\{conversation\}", re.ASCII)
_ID = re.compile(r"[A-Za-z0-9][\w-]{0,127}", re.ASCII)


def is_id(text: str) -> bool:
    """Whether `text` is safe on a command line: no option parser takes it for an option."""
    return _ID.fullmatch(text) is not None


def is_place_of_id(item: str) -> bool:
    return _PLACE.fullmatch(item) is not None


def with_options(command: Sequence[str], options: Sequence[str], id: str = "") -> tuple[str, ...]:
    """`command` with `options` at its end, but before the prompt and before a `--` in front of the prompt."""
    end = next((index for index, item in enumerate(command) if is_place(item)), len(command))
    if end and command[end - 1] == "--":
        end -= 1
    return (*command[:end], *(item.replace(CONVERSATION, id) for item in options), *command[end:])


def unsent(input: AgentInput) -> AgentInput:
    """The part of the input that the agent's earlier conversation does not hold."""
    assert input.earlier
    system = "" if input.earlier.has_system_prompt else input.extra_system_prompt
    return input.model_copy(update={"history": (), "extra_system_prompt": system})


async def resume_or_restart(start: Start, input: AgentInput) -> AsyncGenerator[AgentOutput, None]:
    """The agent's output in its earlier conversation. When the agent has lost that, starts it again without it."""
    if input.earlier is not None:
        async with aclosing(start(input)) as outputs:
            named = await _named(outputs, input.run_id)
            if named is not None and named.id == input.earlier.id:
                yield named
                async for output in outputs:
                    yield _since(input.earlier.spent, output) if isinstance(output, Usage) else output
                return
        logger.info("agent.fell_back", run=input.run_id, conversation=input.earlier.id)
    async with aclosing(start(input.model_copy(update={"earlier": None}))) as outputs:
        async for output in outputs:
            yield output


def _since(spent: Tokens, now: Usage) -> Usage:
    """The run's own part of a usage that counts from the conversation's beginning."""
    prompt, completion = now.prompt_tokens - spent.prompt_tokens, now.completion_tokens - spent.completion_tokens
    if spent == Tokens() or prompt < 0 or completion < 0:
        return now
    return Usage(prompt_tokens=prompt, completion_tokens=completion)


async def _named(outputs: AsyncGenerator[AgentOutput, None], run_id: str) -> AgentConversation | None:
    """The conversation that the agent names before any other output; None when it names none or fails."""
    try:
        async for output in outputs:
            if isinstance(output, AgentConversation):
                return output
            if not isinstance(output, Usage):  # a CLI that fails may print a usage of 0 tokens first
                return None
    except RunError as failure:
        logger.info("agent.not_resumed", run=run_id, code=failure.code.value, detail=failure.detail)
    return None
