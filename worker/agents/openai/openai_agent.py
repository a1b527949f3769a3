"""Agents of kind `openai`: a model behind any OpenAI-compatible API."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager

import anyio
import openai
import structlog
from openai import AsyncOpenAI, AsyncStream
from openai.types.chat import ChatCompletionChunk

from shared.run.errors import SettingsError
from shared.run.json_object import JsonObject
from shared.run.model_params import TOOL_PARAMS, TOOLS
from worker.agents.openai.openai_config import OpenAIConfig
from worker.agents.openai.upstream_answer import UpstreamAnswerParser
from worker.agents.openai.upstream_errors import upstream_errors
from worker.agents.openai.upstream_messages import messages
from worker.agents.protocol import AgentEvent, AgentInput

logger = structlog.get_logger()

CONNECT_SECONDS = 10.0
SILENCE_SECONDS = 600.0  # a model may think for long; the run's own timeout is usually shorter
NO_KEY = "no-key-needed"  # the `openai` client requires a key; local servers ignore it

_SYNONYMS = ({"max_tokens", "max_completion_tokens"},)  # two names of one field


class OpenAIAgent:
    """Sends the conversation to the model and yields the events of its answer. A refusal of the server is a RunError.

    The `openai` client repeats a request only before the first byte of an answer, so no event comes twice.
    """

    def __init__(self, client: AsyncOpenAI, config: OpenAIConfig) -> None:
        self._client = client
        self._config = config
        self._counted = True  # whether the agent requests usage; False for a server that refuses that request

    async def run(self, input: AgentInput) -> AsyncGenerator[AgentEvent, None]:
        answer, key = UpstreamAnswerParser(), self._client.api_key
        with upstream_errors(key, answering=False):
            stream = await self._request(input)
        with upstream_errors(key, answering=True):
            async with stream:
                while chunk := await self._chunk(stream, over=answer.over):
                    for event in answer.feed(chunk):
                        yield event
        for event in answer.end():
            yield event

    async def _chunk(self, stream: AsyncStream[ChatCompletionChunk], *, over: bool) -> ChatCompletionChunk | None:
        """The next chunk. None at the end, and when the server has told the end of the answer (`over`) and keeps the
        connection."""
        with anyio.move_on_after(self._config.patience_seconds if over else None):
            return await anext(aiter(stream), None)
        return None

    async def _request(self, input: AgentInput) -> AsyncStream[ChatCompletionChunk]:
        try:
            return await self._create(input)
        except (openai.BadRequestError, openai.UnprocessableEntityError) as refused:
            if not self._counted or "stream_options" not in f"{refused.message} {refused.body}":
                raise
            self._counted = False
            logger.info("upstream.not_counted", agent=input.agent_id, model=self._config.model)
            return await self._create(input)

    async def _create(self, input: AgentInput) -> AsyncStream[ChatCompletionChunk]:
        fields = fields_of(input, self._config)
        options: JsonObject = {"stream_options": {"include_usage": True}} if self._counted else {}
        response = await self._client.chat.completions.with_raw_response.create(
            model=self._config.model, messages=messages(input), stream=True, extra_body={**fields, **options}
        )
        if response.retries_taken:
            logger.info("upstream.asked_again", run=input.run_id, agent=input.agent_id, times=response.retries_taken)
        return response.parse()


@asynccontextmanager
async def open_openai(config: OpenAIConfig, environment: Mapping[str, str]) -> AsyncIterator[OpenAIAgent]:
    """The agent with a client of its own. Raises SettingsError when the key's variable is not set."""
    timeout = openai.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS)
    async with AsyncOpenAI(
        api_key=_key(config, environment), base_url=config.base_url, max_retries=config.max_retries, timeout=timeout
    ) as client:
        # The `openai` client reads these from the process's environment; they do not concern another upstream.
        client.organization = client.project = None
        yield OpenAIAgent(client, config)


def _key(config: OpenAIConfig, environment: Mapping[str, str]) -> str:
    if config.api_key_env is None:
        return NO_KEY
    key = environment.get(config.api_key_env, "").strip()
    if not key:
        raise SettingsError(f"api_key_env: the environment variable {config.api_key_env} is not set")
    return key


def fields_of(input: AgentInput, config: OpenAIConfig) -> JsonObject:
    """The fields of the request besides the conversation: the client's, as far as the configuration allows them, and
    the operator's, which override them."""
    allowed, fixed = set(config.allowed_params), config.params
    for names in _SYNONYMS:
        allowed -= names if names & fixed.keys() else set()
    given = {name: value for name, value in input.params.items() if name in allowed}
    if TOOLS in allowed and input.tools:
        given[TOOLS] = [*input.tools]
    fields = {**given, **fixed}
    return fields if fields.get(TOOLS) else {name: fields[name] for name in fields if name not in TOOL_PARAMS}
