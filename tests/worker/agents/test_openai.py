from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager

import openai
import pytest
from openai import AsyncOpenAI
from starlette.responses import Response

from shared.errors import ErrorCode, RunError, SettingsError
from shared.events import Delta, Reasoning, Usage
from shared.run import Turn
from tests.worker.agents.asking import answer, asked, said
from tests.worker.agents.upstream import Upstream, chunk, events, refusal, stream, upstream
from worker.agents.config import OpenAIConfig
from worker.agents.openai import OpenAIAgent, open_openai

KEY = "sk-very-secret"
DONE = chunk(finish="stop")
USAGE: Mapping[str, int] = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


@asynccontextmanager
async def agent_of(url: str) -> AsyncIterator[OpenAIAgent]:
    config = OpenAIConfig(kind="openai", base_url=url, model="m-1", api_key_env="KEY")
    async with open_openai(config, {"KEY": KEY}) as agent:
        yield agent


@asynccontextmanager
async def talking(*answers: Response) -> AsyncIterator[tuple[OpenAIAgent, Upstream]]:
    async with upstream(*answers) as up, agent_of(up.url) as agent:
        yield agent, up


async def failure(*answers: Response) -> RunError:
    async with talking(*answers) as (agent, _):
        with pytest.raises(RunError) as failed:
            await said(agent)
    assert KEY not in failed.value.message + failed.value.detail
    assert failed.value.code is ErrorCode.UPSTREAM_ERROR
    return failed.value


async def test_the_answer_is_streamed_with_its_usage() -> None:
    usage = chunk(choices=False, usage=dict(USAGE))
    answers = stream(chunk(role="assistant", content=""), chunk(content="Hel"), chunk(content="lo"), DONE, usage)
    async with talking(answers) as (agent, _):
        assert await said(agent) == [
            Delta(delta="Hel"),
            Delta(delta="lo"),
            Usage(prompt_tokens=3, completion_tokens=4, total_tokens=7),
        ]


async def test_the_conversation_is_sent_as_messages() -> None:
    history = (
        Turn(role="user", content="Hello"),
        Turn(role="assistant", content="Hi."),
        Turn(role="tool", content="42"),
    )
    async with talking(stream(DONE)) as (agent, up):
        await said(agent, asked("How are you?", system="Be kind.", history=history))
    assert up.asked == [
        {
            "model": "m-1",
            "stream": True,
            "stream_options": {"include_usage": True},
            "messages": [
                {"role": "system", "content": "Be kind."},
                {"role": "user", "content": "Hello"},
                {"role": "assistant", "content": "Hi."},
                {"role": "user", "content": "Tool result:\n42"},
                {"role": "user", "content": "How are you?"},
            ],
        }
    ]
    assert up.headers[0]["authorization"] == f"Bearer {KEY}"


async def test_an_upstream_that_counts_along_is_counted_once() -> None:
    counted = [{**USAGE, "total_tokens": total} for total in (5, 6, 7)]
    async with talking(stream(*(chunk(content="a", usage=dict(one)) for one in counted), DONE)) as (agent, _):
        spoken = await said(agent)
    assert [one for one in spoken if isinstance(one, Usage)] == [Usage(**USAGE)]


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
async def test_reasoning_is_no_part_of_the_answer(name: str) -> None:
    async with talking(stream(chunk(extra={name: "hm"}), chunk(content="Yes"), DONE)) as (agent, _):
        assert await said(agent) == [Reasoning(delta="hm"), Delta(delta="Yes")]


async def test_a_refusal_is_an_answer() -> None:
    async with talking(stream(chunk(refusal="I would rather not."), DONE)) as (agent, _):
        assert await answer(agent) == "I would rather not."


@pytest.mark.parametrize(
    ("status", "message", "code", "told"),
    [
        (401, f"Incorrect API key: {KEY}", "invalid_api_key", "refused this service's credentials"),
        (403, "no", "", "refused this service's credentials"),
        (404, "no", "model_not_found", "does not know the model"),
        (429, "slow down", "rate_limit_exceeded", "rate limit or quota"),
        (429, "pay", "insufficient_quota", "rate limit or quota"),
        (400, "too long", "context_length_exceeded", "conversation is too long"),
        (400, "This model's maximum context length is 8 tokens", "", "conversation is too long"),
        (400, "no", "", "answered with status 400"),
        (500, "no", "", "answered with status 500"),
        (503, "no", "", "answered with status 503"),
    ],
)
async def test_what_the_upstream_refuses_is_said_cleanly(status: int, message: str, code: str, told: str) -> None:
    failed = await failure(refusal(status, message, code))
    assert told in failed.message
    assert message.replace(KEY, "***") in failed.detail


async def test_a_hiccup_before_the_answer_is_tried_again() -> None:
    hiccup = refusal(503, x_should_retry="true", retry_after_ms="1")
    async with talking(hiccup, stream(chunk(content="Hi"), DONE)) as (agent, up):
        assert await answer(agent) == "Hi"
    assert len(up.asked) == 2


async def test_an_error_in_mid_answer_is_not_tried_again() -> None:
    frames = [f"data: {json.dumps(chunk(content='Hi'))}\n\n", f'data: {{"error": {{"message": "{KEY}"}}}}\n\n']
    async with talking(events(frames)) as (agent, up), aclosing(agent.run(asked())) as speech:
        assert await anext(speech) == Delta(delta="Hi")
        with pytest.raises(RunError, match="failed while it answered") as failed:
            await anext(speech)
    assert failed.value.detail == "***"
    assert len(up.asked) == 1


async def test_an_answer_that_breaks_off_does_not_look_whole() -> None:
    assert "broke off" in (await failure(stream(chunk(content="Hi"), done=False))).message


@pytest.mark.parametrize(
    "answer", [events(["data: {oops\n\n"]), Response("<html>"), Response('{"object": "chat.completion"}')]
)
async def test_another_format_is_an_upstream_error(answer: Response) -> None:
    await failure(answer)


async def test_an_upstream_that_is_not_there_is_said_without_its_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    url = f"http://user:{KEY}@127.0.0.1:{port}/v1"
    async with AsyncOpenAI(api_key=KEY, base_url=url, max_retries=0) as client:
        with pytest.raises(RunError) as failed:
            await said(OpenAIAgent(client, "m-1"))
    assert failed.value.message == "The model's server cannot be reached."
    assert KEY not in failed.value.detail


async def test_silence_is_bounded() -> None:
    async with upstream() as up:
        up.hang(f"data: {json.dumps(chunk(content='Hi'))}\n\n")
        timeout = openai.Timeout(5.0, read=0.1)
        async with AsyncOpenAI(api_key=KEY, base_url=up.url, timeout=timeout, max_retries=0) as client:
            with pytest.raises(RunError, match="did not answer in time"):
                await said(OpenAIAgent(client, "m-1"))


async def test_a_cancelled_run_hangs_up() -> None:
    """So that the upstream stops making, and counting, tokens that nobody reads."""
    async with upstream() as up, agent_of(up.url) as agent:
        up.hang(f"data: {json.dumps(chunk(content='Hi'))}\n\n")
        heard = asyncio.Event()

        async def listen() -> None:
            async with aclosing(agent.run(asked())) as speech:
                async for _ in speech:
                    heard.set()

        task = asyncio.create_task(listen())
        await heard.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await up.left.wait()


async def test_a_key_that_is_not_set_is_named() -> None:
    config = OpenAIConfig(kind="openai", base_url="http://h/v1", model="m", api_key_env="KEY")
    for environment in ({}, {"KEY": " "}):
        with pytest.raises(SettingsError, match="environment variable KEY is not set"):
            async with open_openai(config, environment):
                pass


async def test_a_local_upstream_needs_no_key_and_gets_none_of_ours() -> None:
    async with upstream(stream(DONE)) as up:
        config = OpenAIConfig(kind="openai", base_url=up.url, model="m")
        async with open_openai(config, {"OPENAI_API_KEY": KEY}) as agent:
            await said(agent)
    assert KEY not in str(up.headers)
