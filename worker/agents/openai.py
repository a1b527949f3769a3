"""Agents of kind `openai`: a model behind any OpenAI-compatible API."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from json import JSONDecodeError

import openai
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam
from openai.types.completion_usage import CompletionUsage

from shared.errors import ErrorCode, RunError, SettingsError
from shared.events import Delta, Reasoning, Usage
from shared.run import Turn
from shared.text import well_formed
from worker.agents.config import OpenAIConfig
from worker.agents.protocol import AgentInput, Spoken

MAX_RETRIES = 2  # made by the client before the first byte of an answer, so that nothing is said twice
CONNECT_SECONDS = 10.0
SILENCE_SECONDS = 600.0  # a model may think for long; the run's own timeout is usually shorter
NO_KEY = "unused"  # the client insists on a key, local servers ignore it

_DETAIL = 2_000  # characters of an upstream's own words kept for operators


class OpenAIAgent:
    """Asks the model with the conversation and says its answer. Upstream failures are `upstream_error`."""

    def __init__(self, client: AsyncOpenAI, model: str) -> None:
        self._client = client
        self._model = model

    async def run(self, input: AgentInput) -> AsyncGenerator[Spoken, None]:
        answer = Answer()
        with upstream_errors(self._client.api_key):
            stream = await self._client.chat.completions.create(
                model=self._model,
                messages=messages(input),
                stream=True,
                stream_options={"include_usage": True},
            )
            async with stream:
                async for chunk in stream:
                    for spoken in answer.feed(chunk):
                        yield spoken
        for spoken in answer.end():
            yield spoken


@asynccontextmanager
async def open_openai(config: OpenAIConfig, environment: Mapping[str, str]) -> AsyncIterator[OpenAIAgent]:
    """The agent with a client of its own. Raises SettingsError when the key's variable is not set."""
    timeout = openai.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS)
    async with AsyncOpenAI(
        api_key=_key(config, environment), base_url=config.base_url, max_retries=MAX_RETRIES, timeout=timeout
    ) as client:
        # The client takes these from the process's environment; they are no business of another upstream.
        client.organization = client.project = None
        yield OpenAIAgent(client, config.model)


def _key(config: OpenAIConfig, environment: Mapping[str, str]) -> str:
    if config.api_key_env is None:
        return NO_KEY
    key = environment.get(config.api_key_env, "").strip()
    if not key:
        raise SettingsError(f"api_key_env: the environment variable {config.api_key_env} is not set")
    return key


def messages(input: AgentInput) -> list[ChatCompletionMessageParam]:
    """The conversation in OpenAI's form."""
    system: list[ChatCompletionMessageParam] = []
    if input.extra_system_prompt:
        system = [{"role": "system", "content": input.extra_system_prompt}]
    return [*system, *map(_message, input.history), {"role": "user", "content": input.message}]


def _message(turn: Turn) -> ChatCompletionMessageParam:
    match turn.role:
        case "assistant":
            return {"role": "assistant", "content": turn.content}
        case "user":
            return {"role": "user", "content": turn.content}
        case "tool":  # a turn does not keep the id of its call, without which upstreams refuse the role
            return {"role": "user", "content": f"Tool result:\n{turn.content}"}


class Answer:
    """One streamed answer: chunks in, said things out."""

    def __init__(self) -> None:
        self._usage: CompletionUsage | None = None
        self._finished = False

    def feed(self, chunk: ChatCompletionChunk) -> Iterator[Spoken]:
        self._usage = chunk.usage or self._usage  # some servers count along: the last one counts
        for choice in chunk.choices or ():
            extra = choice.delta.model_extra or {}
            reasoning = extra.get("reasoning_content") or extra.get("reasoning")  # vLLM, DeepSeek; Ollama
            if isinstance(reasoning, str):
                yield Reasoning(delta=well_formed(reasoning))
            if text := choice.delta.content or choice.delta.refusal:
                yield Delta(delta=well_formed(text))
            self._finished |= choice.finish_reason is not None

    def end(self) -> Iterator[Spoken]:
        """Raises RunError when the answer was cut off: it must not look whole."""
        if self._usage is not None:
            yield _counted(self._usage)
        if not self._finished:
            raise _failure("The model's answer broke off.")


def _counted(usage: CompletionUsage) -> Usage:
    return Usage(
        prompt_tokens=usage.prompt_tokens or 0,
        completion_tokens=usage.completion_tokens or 0,
        total_tokens=usage.total_tokens or 0,
    )


@contextmanager
def upstream_errors(key: str) -> Iterator[None]:
    """Turns the client's errors into RunError. Their own words are for operators, and without the key."""
    try:
        yield
    except openai.APIError as error:
        raise _failure(_explained(error), error.message.replace(key, "***")) from None
    except JSONDecodeError as error:
        raise _failure("The model's server did not answer in OpenAI's format.", str(error)) from None


def _explained(error: openai.APIError) -> str:
    match error:
        case openai.APITimeoutError():
            return "The model did not answer in time."
        case openai.APIConnectionError():
            return "The model's server cannot be reached."
        case openai.AuthenticationError() | openai.PermissionDeniedError():
            return "The model's server refused this service's credentials."
        case openai.RateLimitError():
            return "The model's server has reached its rate limit or quota."
        case openai.APIError() if "context_length" in (error.code or "") or "context length" in error.message:
            return "The conversation is too long for the model."
        case openai.NotFoundError():
            return "The model's server does not know the model."
        case openai.APIStatusError(status_code=status):
            return f"The model's server answered with status {status}."
        case _:
            return "The model's server failed while it answered."


def _failure(message: str, detail: str = "") -> RunError:
    return RunError(ErrorCode.UPSTREAM_ERROR, message, detail[:_DETAIL])
