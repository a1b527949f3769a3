"""The official Python client, unchanged, against the running service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletion, ChatCompletionChunk, ChatCompletionMessageParam

from tests.e2e.play import NEW_MESSAGE, Step, crash, fail, say, usage, wait
from tests.e2e.service import ALICE, BOB, Service
from tests.e2e.waiting import until

SCRIPTED = "clawdbot:scripted"


@pytest.fixture(scope="module")
def client(service: Service) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{service.url}/v1", api_key=ALICE) as client:
        yield client


@pytest.fixture
async def aclient(service: Service) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{service.url}/v1", api_key=ALICE) as client:
        yield client


def user(text: str) -> list[ChatCompletionMessageParam]:
    return [{"role": "user", "content": text}]


def content_of(answer: ChatCompletion) -> str | None:
    return answer.choices[0].message.content


def delta(chunk: ChatCompletionChunk) -> str:
    return chunk.choices[0].delta.content or ""


# --- answers ----------------------------------------------------------------------------------------------------------


def test_a_whole_answer(client: OpenAI, service: Service) -> None:
    play = service.play(say("Hel"), say("lo"), NEW_MESSAGE, say("again"), usage(3, 4))
    answer = client.chat.completions.create(model=SCRIPTED, messages=user(play.message))
    assert content_of(answer) == "Hello\n\nagain"
    assert (answer.model, answer.object, answer.choices[0].finish_reason) == (SCRIPTED, "chat.completion", "stop")
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (3, 4, 7)


def test_a_stream_brings_each_delta_when_the_agent_says_it(client: OpenAI, service: Service) -> None:
    play = service.play(wait("one"), say("one"), wait("two"), say("two"), wait("three"), say("three"))
    with client.chat.completions.create(model=SCRIPTED, messages=user(play.message), stream=True) as stream:
        assert next(stream).choices[0].delta.role == "assistant"
        for word in ("one", "two", "three"):
            play.open(word)
            assert delta(next(stream)) == word
        assert next(stream).choices[0].finish_reason == "stop"
        assert list(stream) == []


def test_the_stream_helper_adds_up_the_answer(client: OpenAI, service: Service) -> None:
    play = service.play(say("Hel"), wait("on"), say("lo"))
    with client.chat.completions.stream(model=SCRIPTED, messages=user(play.message)) as stream:
        deltas = []
        for event in stream:
            if event.type == "content.delta":
                deltas.append(event.delta)
                play.open("on")
        assert deltas == ["Hel", "lo"]
        assert content_of(stream.get_final_completion()) == "Hello"


def test_usage_comes_last_and_only_when_asked_for(client: OpenAI, service: Service) -> None:
    message = user(service.play(say("Hello"), usage(3, 4)).message)
    *chunks, last = client.chat.completions.create(
        model=SCRIPTED, messages=message, stream=True, stream_options={"include_usage": True}
    )
    assert last.usage is not None
    assert (last.choices, last.usage.total_tokens) == ([], 7)
    assert {chunk.usage for chunk in chunks} == {None}
    without = list(client.chat.completions.create(model=SCRIPTED, messages=message, stream=True))
    assert {chunk.usage for chunk in without} == {None}
    assert without[-1].choices[0].finish_reason == "stop"


def test_the_headers_of_an_answer_name_the_run(client: OpenAI, service: Service) -> None:
    message = user(service.play(say("Hello")).message)
    raw = client.chat.completions.with_raw_response.create(model=SCRIPTED, messages=message)
    assert raw.headers["x-run-id"] == raw.parse().id
    assert raw.headers["x-should-retry"] == "false"


def test_headers_choose_agent_and_session(service: Service) -> None:
    headers = {"x-clawdbot-agent-id": "echo", "x-clawdbot-session-key": "agent:echo:by-header"}
    with OpenAI(base_url=f"{service.url}/v1", api_key=ALICE, default_headers=headers) as client:
        answer = client.chat.completions.create(model="gpt-4o", messages=user("Hello"))
    assert (content_of(answer), answer.model) == ("Hello", "gpt-4o")


def test_models_are_the_agents_that_are_served(client: OpenAI) -> None:
    models = {model.id for model in client.models.list()}
    assert {"main", "echo", "scripted", "wc"} <= models
    assert client.models.retrieve("echo").id == "echo"
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("nobody")
    assert caught.value.code == "model_not_found"


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
def test_a_wrong_key_is_an_authentication_error(service: Service, stream: bool) -> None:
    with OpenAI(base_url=f"{service.url}/v1", api_key="wrong") as client:
        with pytest.raises(openai.AuthenticationError) as caught:
            client.chat.completions.create(model="gpt-4o", messages=user("Hi"), stream=stream)
        assert (caught.value.status_code, caught.value.type) == (401, "unauthorized")
        with pytest.raises(openai.AuthenticationError):
            client.models.list()


def test_an_error_in_mid_stream_is_raised_with_its_code(client: OpenAI, service: Service) -> None:
    play = service.play(say("half an ans"), fail("out of ideas"))
    stream = client.chat.completions.create(model=SCRIPTED, messages=user(play.message), stream=True)
    received = []
    with pytest.raises(openai.APIError) as caught:
        received += [delta(chunk) for chunk in stream]
    assert caught.value.code == "agent_failed"
    assert "out of ideas" in caught.value.message
    assert len(play.starts) == 1


def test_what_was_said_before_an_error_is_heard(client: OpenAI, service: Service) -> None:
    play = service.play(say("half an ans"), wait("on"), fail("out of ideas"))
    with client.chat.completions.create(model=SCRIPTED, messages=user(play.message), stream=True) as stream:
        assert [delta(next(stream)) for _ in range(2)] == ["", "half an ans"]
        play.open("on")
        with pytest.raises(openai.APIError, match="out of ideas"):
            next(stream)


def test_an_error_in_mid_stream_reaches_the_stream_helper(client: OpenAI, service: Service) -> None:
    play = service.play(say("half an ans"), fail("out of ideas"))
    with (
        client.chat.completions.stream(model=SCRIPTED, messages=user(play.message)) as stream,
        pytest.raises(openai.APIError) as caught,
    ):
        stream.until_done()
    assert caught.value.code == "agent_failed"


@pytest.mark.parametrize(
    ("agent", "steps", "status", "code"),
    [
        ("scripted", [fail("no")], 500, "agent_failed"),
        ("scripted", [say("some text"), fail("no")], 500, "agent_failed"),
        ("scripted", [crash("boom")], 500, "agent_failed"),
        ("scripted", [{"delta": 1}], 500, "agent_protocol_error"),
        ("hasty", [wait("never")], 504, "run_timeout"),
    ],
)
def test_a_failed_run_is_a_server_error_and_not_posted_again(
    client: OpenAI, service: Service, agent: str, steps: list[Step], status: int, code: str
) -> None:
    assert client.max_retries == 2
    play = service.play(*steps)
    with pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(model=f"clawdbot:{agent}", messages=user(play.message))
    assert (caught.value.status_code, caught.value.code) == (status, code)
    assert [start.run for start in play.starts] == [caught.value.response.headers["x-run-id"]]


def test_an_exception_of_an_agent_stays_inside(client: OpenAI, service: Service) -> None:
    play = service.play(crash("redis://:secret@10.0.0.1/0 in /srv/agent.py"))
    with pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(model=SCRIPTED, messages=user(play.message))
    body = str(caught.value.body)
    assert "ValueError" in body
    assert not [word for word in ("secret", "10.0.0.1", "/srv", "Traceback") if word in body]


def test_requests_that_cannot_be_met_have_the_client_s_own_errors(client: OpenAI) -> None:
    create = client.chat.completions.create
    with pytest.raises(openai.NotFoundError) as not_found:
        create(model="clawdbot:nobody", messages=user("Hi"))
    assert not_found.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError, match="Missing user message in `messages`"):
        create(model="gpt-4o", messages=[{"role": "system", "content": "Be brief."}])
    with pytest.raises(openai.APIStatusError, match="payload too large") as too_large:
        create(model="gpt-4o", messages=user("x" * 1_048_576))
    assert too_large.value.status_code == 413


def test_a_session_of_another_credential_is_a_permission_error(client: OpenAI, service: Service) -> None:
    headers = {"x-clawdbot-session-key": "alices-own"}
    client.chat.completions.create(model="gpt-4o", messages=user("Hi"), extra_headers=headers)
    with OpenAI(base_url=f"{service.url}/v1", api_key=BOB) as bob, pytest.raises(openai.PermissionDeniedError):
        bob.chat.completions.create(model="gpt-4o", messages=user("Hi"), extra_headers=headers)


# --- once, not three times --------------------------------------------------------------------------------------------


def test_a_key_attaches_to_the_live_run(client: OpenAI, service: Service) -> None:
    play = service.play(say("one "), wait("on"), say("two"))
    headers = {"Idempotency-Key": "attach"}
    with (
        ThreadPoolExecutor() as pool,
        client.chat.completions.create(
            model=SCRIPTED, messages=user(play.message), stream=True, extra_headers=headers
        ) as stream,
    ):
        chunks = [next(stream), next(stream)]
        attached = client.chat.completions.create(
            model=SCRIPTED, messages=user(play.message), stream=True, extra_headers=headers
        )
        whole = pool.submit(
            client.chat.completions.create, model=SCRIPTED, messages=user(play.message), extra_headers=headers
        )
        assert [delta(next(attached)) for _ in range(2)] == ["", "one "]  # from its first event on
        play.open("on")
        chunks += stream
        assert content_of(whole.result()) == "".join(map(delta, chunks)) == "one " + "".join(map(delta, attached))
    assert {chunks[0].id, whole.result().id} == {start.run for start in play.starts}
    assert len(play.starts) == 1


def test_a_key_replays_the_finished_run(client: OpenAI, service: Service) -> None:
    play = service.play(say("once "), say("only"))
    headers = {"Idempotency-Key": "replay"}
    create = client.chat.completions.create
    first = create(model=SCRIPTED, messages=user(play.message), extra_headers=headers)
    again = create(model=SCRIPTED, messages=user(play.message), extra_headers=headers)
    chunks = list(create(model=SCRIPTED, messages=user(play.message), stream=True, extra_headers=headers))
    assert again == first
    assert "".join(map(delta, chunks)) == content_of(first) == "once only"
    assert {chunk.id for chunk in chunks} == {first.id}
    assert len(play.starts) == 1


def test_a_key_replays_a_failure(client: OpenAI, service: Service) -> None:
    play = service.play(say("half an ans"), fail("out of ideas"))
    for _ in range(2):
        with pytest.raises(openai.InternalServerError, match="out of ideas"):
            client.chat.completions.create(
                model=SCRIPTED, messages=user(play.message), extra_headers={"Idempotency-Key": "failure"}
            )
    assert len(play.starts) == 1


def test_a_key_with_another_body_is_a_conflict(client: OpenAI, service: Service) -> None:
    headers = {"Idempotency-Key": "conflict"}
    client.chat.completions.create(model="clawdbot:echo", messages=user("Hi"), extra_headers=headers)
    with pytest.raises(openai.ConflictError) as caught:
        client.chat.completions.create(model="clawdbot:echo", messages=user("Ho"), extra_headers=headers)
    assert caught.value.code == "idempotency_key_reused"
    assert caught.value.response.headers["x-should-retry"] == "false"


def test_a_key_means_nothing_to_another_credential(client: OpenAI, service: Service) -> None:
    headers = {"Idempotency-Key": "not-shared"}
    alices = client.chat.completions.create(model="clawdbot:echo", messages=user("Hi"), extra_headers=headers)
    with OpenAI(base_url=f"{service.url}/v1", api_key=BOB) as bob:
        bobs = bob.chat.completions.create(model="clawdbot:echo", messages=user("Hi"), extra_headers=headers)
    assert alices.id != bobs.id


def test_a_retry_joins_the_run_of_the_first_try(client: OpenAI, service: Service) -> None:
    play = service.play(say("once"))
    first = client.chat.completions.create(model=SCRIPTED, messages=user(play.message))
    retry = client.chat.completions.create(
        model=SCRIPTED, messages=user(play.message), extra_headers={"x-stainless-retry-count": "1"}
    )
    assert retry == first
    anew = client.chat.completions.create(model=SCRIPTED, messages=user(play.message))
    assert anew.id != first.id
    assert [start.run for start in play.starts] == [first.id, anew.id]


def test_a_client_whose_timer_runs_out_gets_the_answer_of_its_first_post(service: Service) -> None:
    """The client does not send its timeout."""
    play = service.play(wait("retry"), say("at last"))
    posts: list[str] = []

    def count(request: object) -> None:
        posts.append(repr(request))
        if len(posts) == 2:
            play.open("retry")

    transport = openai.DefaultHttpxClient(event_hooks={"request": [count]})
    url, silent = f"{service.url}/v1", {"x-stainless-read-timeout": openai.Omit()}
    with OpenAI(base_url=url, api_key=ALICE, timeout=1, max_retries=9, http_client=transport) as client:
        answer = client.chat.completions.create(model=SCRIPTED, messages=user(play.message), extra_headers=silent)
    assert content_of(answer) == "at last"
    assert len(posts) >= 2
    assert len(play.starts) == 1


def test_a_client_that_says_how_long_it_waits_is_told_in_time(service: Service) -> None:
    play = service.play(wait("never"))
    with (
        OpenAI(base_url=f"{service.url}/v1", api_key=ALICE, timeout=1) as client,
        pytest.raises(openai.InternalServerError) as caught,
    ):
        client.chat.completions.create(model=SCRIPTED, messages=user(play.message))
    assert caught.value.status_code == 504
    until(lambda: play.events("end"))  # no client waits for it any more
    assert len(play.starts) == 1


# --- async ------------------------------------------------------------------------------------------------------------


async def test_async_a_whole_answer_and_a_stream(aclient: AsyncOpenAI, service: Service) -> None:
    play = service.play(say("Hel"), say("lo"))
    answer = await aclient.chat.completions.create(model=SCRIPTED, messages=user(play.message))
    stream = await aclient.chat.completions.create(model=SCRIPTED, messages=user(play.message), stream=True)
    assert content_of(answer) == "".join([delta(chunk) async for chunk in stream]) == "Hello"


async def test_async_the_stream_helper(aclient: AsyncOpenAI, service: Service) -> None:
    play = service.play(say("Hel"), say("lo"))
    async with aclient.chat.completions.stream(model=SCRIPTED, messages=user(play.message)) as stream:
        assert content_of(await stream.get_final_completion()) == "Hello"


async def test_async_errors(aclient: AsyncOpenAI, service: Service) -> None:
    play = service.play(say("half an ans"), fail("out of ideas"))
    stream = await aclient.chat.completions.create(model=SCRIPTED, messages=user(play.message), stream=True)
    with pytest.raises(openai.APIError) as caught:
        [chunk async for chunk in stream]
    assert caught.value.code == "agent_failed"
    with pytest.raises(openai.InternalServerError):
        await aclient.chat.completions.create(model=SCRIPTED, messages=user(play.message))
    with pytest.raises(openai.AuthenticationError):
        await aclient.with_options(api_key="wrong").models.list()


async def test_a_client_that_leaves_disturbs_nobody(aclient: AsyncOpenAI, service: Service) -> None:
    play = service.play(say("one"), wait("on"), say("two"))
    stream = await aclient.chat.completions.create(model=SCRIPTED, messages=user(play.message), stream=True)
    assert [delta(await anext(stream)) for _ in range(2)] == ["", "one"]
    await stream.close()
    answer = await aclient.chat.completions.create(model="clawdbot:echo", messages=user("Hi"))
    assert content_of(answer) == "Hi"
    play.open("on")
    until(lambda: play.events("end"))
