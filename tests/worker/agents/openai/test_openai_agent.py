from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager

import openai
import pytest
from openai import AsyncOpenAI
from pydantic import JsonValue
from starlette.responses import Response
from structlog.testing import capture_logs

from shared.run.errors import ErrorCode, RunError, SettingsError
from shared.run.events import Delta, FinishReason, ToolCallDelta, Usage
from shared.run.run import Turn
from tests.worker.agents.asking import answer, asked, said
from tests.worker.agents.upstream import Upstream, chunk, events, piece, refusal, stream, upstream
from worker.agents.model_refusal import BROKEN_OFF, LIMITED, NO_CREDENTIALS, NO_TIME, TOO_LONG, Refusal
from worker.agents.openai.openai_agent import OpenAIAgent, fields_of, open_openai
from worker.agents.openai.openai_config import OpenAIConfig
from worker.agents.protocol import Finished

KEY = "sk-very-secret"
DONE = chunk(finish="stop")
USAGE: Mapping[str, int] = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


def config_of(url: str, **keys: object) -> OpenAIConfig:
    known = {"kind": "openai", "base_url": url, "model": "m-1", "api_key_env": "KEY"}
    return OpenAIConfig.model_validate(known | keys)


@asynccontextmanager
async def agent_of(url: str, **keys: object) -> AsyncIterator[OpenAIAgent]:
    async with open_openai(config_of(url, **keys), {"KEY": KEY}) as agent:
        yield agent


@asynccontextmanager
async def talking(*answers: Response, **keys: object) -> AsyncIterator[tuple[OpenAIAgent, Upstream]]:
    async with upstream(*answers) as up, agent_of(up.url, **keys) as agent:
        yield agent, up


async def failure(*answers: Response) -> RunError:
    async with talking(*answers) as (agent, _):
        with pytest.raises(RunError) as failed:
            await said(agent)
    assert KEY not in failed.value.message + failed.value.detail
    return failed.value


async def test_an_upstream_that_keeps_the_connection_after_its_end_loses_no_answer() -> None:
    async with talking(patience_seconds=0.1) as (agent, up):
        up.hang(*(f"data: {json.dumps(frame)}\n\n" for frame in (chunk(content="Hello"), DONE)))
        assert await answer(agent) == "Hello"
        await up.left.wait()


async def test_the_answer_is_streamed_with_its_usage() -> None:
    usage = chunk(choices=False, usage=dict(USAGE))
    answers = stream(chunk(role="assistant", content=""), chunk(content="Hel"), chunk(content="lo"), DONE, usage)
    async with talking(answers) as (agent, _):
        assert await said(agent) == [
            Delta(delta="Hel"),
            Delta(delta="lo"),
            Usage(prompt_tokens=3, completion_tokens=4, total_tokens=7),
            Finished(reason=FinishReason.STOP),
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


async def test_what_the_client_says_to_the_model_reaches_it_as_far_as_it_may() -> None:
    tool: dict[str, JsonValue] = {"type": "function", "function": {"name": "f"}}
    params: dict[str, JsonValue] = {"temperature": 0.5, "tool_choice": "auto", "store": True, "seed": 1}
    async with talking(stream(DONE), params={"seed": 7, "top_k": 3}) as (agent, up):
        await said(agent, asked().model_copy(update={"tools": (tool,), "params": params}))
    (sent,) = up.asked
    for name in ("model", "messages", "stream", "stream_options"):
        del sent[name]
    assert sent == {"tools": [tool], "temperature": 0.5, "tool_choice": "auto", "seed": 7, "top_k": 3}


@pytest.mark.parametrize(
    ("config", "params", "expected"),
    [
        ({"allowed_params": []}, {"seed": 1}, {}),
        ({"allowed_params": ["store"]}, {"store": True, "seed": 1}, {"store": True}),
        ({"params": {"max_tokens": 9}}, {"max_completion_tokens": 1_000_000, "seed": 1}, {"max_tokens": 9, "seed": 1}),
        ({}, {"tool_choice": "auto", "parallel_tool_calls": False}, {}),
        (
            {"params": {"tools": [{"type": "web"}]}},
            {"tool_choice": "auto"},
            {"tools": [{"type": "web"}], "tool_choice": "auto"},
        ),
    ],
)
def test_the_operator_counts_more(
    config: dict[str, JsonValue], params: dict[str, JsonValue], expected: dict[str, JsonValue]
) -> None:
    assert fields_of(asked().model_copy(update={"params": params}), config_of("http://h", **config)) == expected


def test_tools_that_are_not_allowed_are_left_out_with_what_is_said_of_them() -> None:
    given = asked().model_copy(update={"tools": ({"type": "function"},), "params": {"tool_choice": "auto"}})
    assert fields_of(given, config_of("http://h", allowed_params=["tool_choice"])) == {}


async def test_a_call_of_a_clients_tool_is_said_in_pieces() -> None:
    finish = chunk(finish="tool_calls")
    pieces = (piece(id="c1", type="function", name="f", arguments=""), piece(arguments='{"a"'), piece(arguments=":1}"))
    async with talking(stream(*pieces, finish)) as (agent, _):
        assert await said(agent) == [
            ToolCallDelta(index=0, id="c1", name="f"),
            ToolCallDelta(index=0, arguments='{"a"'),
            ToolCallDelta(index=0, arguments=":1}"),
            Finished(reason=FinishReason.TOOL_CALLS),
        ]


@pytest.mark.parametrize(
    "refused",
    [
        refusal(400, "Unrecognized request argument supplied: stream_options"),
        Response('{"detail":[{"type":"extra_forbidden","loc":["body","stream_options"]}]}', 422),
    ],
    ids=["400", "422"],
)
async def test_an_upstream_that_refuses_to_be_asked_for_its_counts_is_asked_without_and_remembered(
    refused: Response,
) -> None:
    async with talking(refused, stream(chunk(content="a"), DONE), stream(chunk(content="b"), DONE)) as (agent, up):
        assert [await answer(agent), await answer(agent)] == ["a", "b"]
    assert ["stream_options" in asked for asked in up.asked] == [True, False, False]


@pytest.mark.parametrize(
    ("status", "message", "code", "refused"),
    [
        (401, f"Incorrect API key: {KEY}", "invalid_api_key", NO_CREDENTIALS),
        (429, "slow down", "rate_limit_exceeded", LIMITED),
        (400, "too long", "context_length_exceeded", TOO_LONG),
        (504, "late", "", NO_TIME),
    ],
)
async def test_what_the_upstream_refuses_is_said_cleanly(
    status: int, message: str, code: str, refused: Refusal
) -> None:
    failed = await failure(refusal(status, message, code))
    assert (failed.code, failed.message) == (refused.code, refused.message)
    assert failed.detail == message.replace(KEY, "***")


async def test_a_hiccup_before_the_answer_is_tried_again() -> None:
    hiccup = refusal(503, x_should_retry="true", retry_after_ms="1")
    async with talking(hiccup, stream(chunk(content="Hi"), DONE)) as (agent, up):
        with capture_logs() as logged:
            assert await answer(agent) == "Hi"
    assert len(up.asked) == 2
    assert [(entry["event"], entry["times"]) for entry in logged] == [("upstream.asked_again", 1)]


async def test_how_often_is_bounded_and_said() -> None:
    hiccups = [refusal(503, "busy", x_should_retry="true", retry_after_ms="1") for _ in range(3)]
    async with talking(*hiccups, max_retries=1) as (agent, up):
        with pytest.raises(RunError, match="status 503") as failed:
            await said(agent)
    assert (failed.value.detail, len(up.asked)) == ("busy [asked 2 times]", 2)


async def test_an_answer_that_is_cut_in_the_midst_broke_off() -> None:
    """The connection ends instead of the answer."""
    async with upstream() as up, agent_of(up.url) as agent:
        up.cut(f"data: {json.dumps(chunk(content='Hi'))}\n\n")
        with pytest.raises(RunError) as failed:
            await said(agent)
    assert failed.value.message == BROKEN_OFF.message
    assert "incomplete" in failed.value.detail


async def test_an_error_in_mid_answer_is_not_tried_again() -> None:
    frames = [f"data: {json.dumps(chunk(content='Hi'))}\n\n", f'data: {{"error": {{"message": "{KEY}"}}}}\n\n']
    async with talking(events(frames)) as (agent, up), aclosing(agent.run(asked())) as outputs:
        assert await anext(outputs) == Delta(delta="Hi")
        with pytest.raises(RunError, match="failed while it answered") as failed:
            await anext(outputs)
    assert failed.value.detail == "***"
    assert len(up.asked) == 1


async def test_an_answer_that_breaks_off_does_not_look_whole() -> None:
    failed = await failure(stream(chunk(content="Hi"), done=False))
    assert (failed.code, failed.message) == (BROKEN_OFF.code, BROKEN_OFF.message)


@pytest.mark.parametrize(
    "answer", [events(["data: {oops\n\n"]), Response("<html>"), Response('{"object": "chat.completion"}')]
)
async def test_another_format_is_an_upstream_error(answer: Response) -> None:
    assert (await failure(answer)).code is ErrorCode.UPSTREAM_ERROR


async def test_an_upstream_that_is_not_there_is_said_without_its_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    url = f"http://user:{KEY}@127.0.0.1:{port}/v1"
    async with AsyncOpenAI(api_key=KEY, base_url=url, max_retries=0) as client:
        with pytest.raises(RunError) as failed:
            await said(OpenAIAgent(client, config_of(url)))
    assert failed.value.message == "The model's server cannot be reached."
    assert KEY not in failed.value.detail


async def test_silence_is_bounded() -> None:
    async with upstream() as up:
        up.hang(f"data: {json.dumps(chunk(content='Hi'))}\n\n")
        timeout = openai.Timeout(5.0, read=0.1)
        async with AsyncOpenAI(api_key=KEY, base_url=up.url, timeout=timeout, max_retries=0) as client:
            with pytest.raises(RunError, match="did not answer in time"):
                await said(OpenAIAgent(client, config_of(up.url)))


async def test_a_cancelled_run_hangs_up() -> None:
    """So the upstream stops producing, and charging, tokens without a reader."""
    async with upstream() as up, agent_of(up.url) as agent:
        up.hang(f"data: {json.dumps(chunk(content='Hi'))}\n\n")
        heard = asyncio.Event()

        async def listen() -> None:
            async with aclosing(agent.run(asked())) as outputs:
                async for _ in outputs:
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
