"""Going on in a conversation that a CLI keeps by itself.

The CLI tells its name for the conversation before it says anything. One that was told to go on and does not name that
very conversation has not got it: its files are on another machine, have expired, were removed, or do not fit its
version. Nothing was said by then, so it is asked anew, with the transcript. That is judged by what the CLI does and not
by its words, which are different for each of them and change with their versions.
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

Ask = Callable[[AgentInput], AsyncGenerator[AgentOutput, None]]

_PLACE = re.compile(r"(--?[A-Za-z][\w-]*=)?\{conversation\}", re.ASCII)
_ID = re.compile(r"[A-Za-z0-9][\w-]{0,127}", re.ASCII)


def is_id(text: str) -> bool:
    """Whether `text` may stand on a command line: no option parser takes it for anything else."""
    return _ID.fullmatch(text) is not None


def is_place_of_id(item: str) -> bool:
    return _PLACE.fullmatch(item) is not None


def with_options(command: Sequence[str], options: Sequence[str], id: str = "") -> tuple[str, ...]:
    """`options` stand behind `command`, but before the prompt and a `--` in front of it."""
    end = next((index for index, item in enumerate(command) if is_place(item)), len(command))
    if end and command[end - 1] == "--":
        end -= 1
    return (*command[:end], *(item.replace(CONVERSATION, id) for item in options), *command[end:])


def untold(input: AgentInput) -> AgentInput:
    """What the agent has not been told in its earlier conversation."""
    assert input.earlier
    system = "" if input.earlier.system_told else input.extra_system_prompt
    return input.model_copy(update={"history": (), "extra_system_prompt": system})


async def resume_or_restart(ask: Ask, input: AgentInput) -> AsyncGenerator[AgentOutput, None]:
    """What the agent says in its earlier conversation, or else, asked anew, without it."""
    if input.earlier is not None:
        async with aclosing(ask(input)) as speech:
            named = await _named(speech, input.run_id)
            if named is not None and named.id == input.earlier.id:
                yield named
                async for heard in speech:
                    yield _since(input.earlier.spent, heard) if isinstance(heard, Usage) else heard
                return
        logger.info("agent.fell_back", run=input.run_id, conversation=input.earlier.id)
    async with aclosing(ask(input.model_copy(update={"earlier": None}))) as speech:
        async for heard in speech:
            yield heard


def _since(spent: Tokens, now: Usage) -> Usage:
    """Of what was counted from the conversation's beginning, the run's own part."""
    prompt, completion = now.prompt_tokens - spent.prompt_tokens, now.completion_tokens - spent.completion_tokens
    if spent == Tokens() or prompt < 0 or completion < 0:
        return now
    return Usage(prompt_tokens=prompt, completion_tokens=completion)


async def _named(speech: AsyncGenerator[AgentOutput, None], run_id: str) -> AgentConversation | None:
    """The conversation that the agent names before it says anything."""
    try:
        async for heard in speech:
            if isinstance(heard, AgentConversation):
                return heard
            if not isinstance(heard, Usage):  # counts of nothing come with a failure
                return None
    except RunError as failure:
        logger.info("agent.not_resumed", run=run_id, code=failure.code.value, detail=failure.detail)
    return None
