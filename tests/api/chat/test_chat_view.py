from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai._streaming import SSEDecoder
from openai.lib.streaming.chat._completions import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import JsonValue
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from api.chat.chat_view import EMPTY_ANSWER, ChatFold, ChatStream
from api.http import sse
from api.http.api_errors import ApiError, run_failed, run_headers
from api.http.body import parse_json
from shared.run.events import (
    Cancelled,
    Completed,
    Delta,
    Event,
    EventData,
    Failed,
    FinishReason,
    Queued,
    Reasoning,
    Started,
    StopReason,
    Tokens,
    ToolCallDelta,
    ToolUse,
    Unknown,
    Usage,
)
from tests.api.played import RUN, played, spoken
from tests.api.served import served

FRAMING = st.sampled_from(["data: ", "data: [DONE]\n\n", "[DONE]", "\n\n", "event: x\n", ": "])
NASTY = st.text() | st.text("\r\n\u2028\u0085😀é\x00") | FRAMING
DELTAS = st.lists(st.builds(Delta, delta=NASTY, message=st.integers(0, 3)), max_size=8).map(
    lambda deltas: sorted(deltas, key=lambda delta: delta.message)
)
UNSEEN: list[EventData] = [
    Queued(),
    Started(attempt=1, worker="w"),
    ToolUse(phase="start", name="ls"),
    Reasoning(delta="hm"),
    Usage(prompt_tokens=9),
    Unknown(),
]
TOKENS = Tokens(prompt_tokens=1, completion_tokens=2, total_tokens=3)


def streamed(events: Sequence[Event], stream: ChatStream | None = None) -> bytes:
    stream = stream or ChatStream(RUN)
    return stream.begin() + b"".join(map(stream.feed, events))


def payloads(frames: bytes) -> list[str]:
    return [event.data for event in SSEDecoder().iter_bytes(iter([frames]))]


def chunks(frames: bytes) -> list[ChatCompletionChunk]:
    """The chunks as the official client reads them. The frames must end with `[DONE]`."""
    *data, done = payloads(frames)
    assert done == "[DONE]"
    return [ChatCompletionChunk.model_validate_json(one) for one in data]


def content(frames: bytes) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks(frames))


def folded(events: Sequence[Event]) -> ChatCompletion:
    fold = ChatFold(RUN)
    *before, whole = map(fold.feed, events)
    assert whole is not None
    assert not any(before)
    return ChatCompletion.model_validate_json(whole)


def test_the_frames_of_a_run() -> None:
    def chunk(delta: str, reason: str = "null") -> str:
        run = '"id":"chatcmpl_1","object":"chat.completion.chunk","created":1700000000,"model":"a \\"b\\""'
        return f'{{{run},"choices":[{{"index":0,"delta":{delta},"finish_reason":{reason}}}]}}'

    assert payloads(streamed(spoken("Hel", "lo"))) == [
        chunk('{"role":"assistant"}'),
        chunk('{"content":"Hel"}'),
        chunk('{"content":"lo"}'),
        chunk("{}", '"stop"'),
        "[DONE]",
    ]


def test_the_completion_of_a_run() -> None:
    fold = ChatFold(RUN)
    *_, whole = map(fold.feed, played(Delta(delta="Hello"), Completed(usage=TOKENS)))
    assert json.loads(whole or b"") == {
        "id": "chatcmpl_1",
        "object": "chat.completion",
        "created": 1700000000,
        "model": 'a "b"',
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
    }


@given(DELTAS)
def test_the_stream_says_what_the_completion_says(deltas: list[Delta]) -> None:
    events = played(*deltas, Completed())
    assert content(streamed(events)) == folded(events).choices[0].message.content


def called(*texts: str) -> list[ToolCallDelta]:
    """Tool calls with these arguments, in pieces of one character."""
    begun = [ToolCallDelta(index=n, id=f"c{n}", name=f"f{n}", arguments=text[:1]) for n, text in enumerate(texts)]
    return [*begun, *(ToolCallDelta(index=n, arguments=letter) for n, text in enumerate(texts) for letter in text[1:])]


def test_the_frames_of_a_call() -> None:
    extra: dict[str, JsonValue] = {"extra_content": {"signature": "x"}}
    begin = ToolCallDelta(index=0, id="c1", name="ls", arguments='{"', extra=extra)
    events = played(begin, ToolCallDelta(index=0, arguments='"}'), Completed(finish_reason=FinishReason.TOOL_CALLS))
    _, *deltas, _ = [json.loads(one)["choices"][0]["delta"] for one in payloads(streamed(events))[:-1]]
    first = {"index": 0, "id": "c1", "type": "function", "function": {"name": "ls", "arguments": '{"'}, **extra}
    assert deltas == [
        {"tool_calls": [first]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '"}'}}]},
    ]
    *_, whole = map(ChatFold(RUN).feed, events)
    (choice,) = json.loads(whole or b"")["choices"]
    call = {"id": "c1", "type": "function", "function": {"name": "ls", "arguments": '{""}'}, **extra}
    assert choice["message"] == {"role": "assistant", "content": None, "tool_calls": [call]}
    assert choice["finish_reason"] == "tool_calls"


def test_a_call_may_come_with_text() -> None:
    events = played(Delta(delta="I look."), *called("{}"), Completed(finish_reason=FinishReason.TOOL_CALLS))
    message = folded(events).choices[0].message
    assert message.content == content(streamed(events)) == "I look."
    assert [call.id for call in message.tool_calls or ()] == ["c0"]


@given(st.data(), DELTAS, st.lists(NASTY, max_size=3))
def test_what_the_official_client_adds_up_is_the_completion(
    data: st.DataObject, deltas: list[Delta], arguments: list[str]
) -> None:
    """The text and the pieces of several calls are mixed in any way that keeps their order."""
    texts, calls, mixed = list(deltas), called(*arguments), list[EventData]()
    while texts or calls:
        rest: list[Delta] | list[ToolCallDelta] = data.draw(st.sampled_from([one for one in (texts, calls) if one]))
        mixed.append(rest.pop(0))
    reason = FinishReason.TOOL_CALLS if arguments else FinishReason.STOP
    events = played(*mixed, Completed(finish_reason=reason, usage=TOKENS))
    state: ChatCompletionStreamState[None] = ChatCompletionStreamState()
    for chunk in chunks(streamed(events, ChatStream(RUN, include_usage=True))):
        state.handle_chunk(chunk)
    added, whole = state.get_final_completion(), folded(events)
    assert plain(added.model_dump(exclude={"object"})) == plain(whole.model_dump(exclude={"object"}))


def plain(value: object) -> object:
    """The value without the client's own additions: fields without a value, and parsed arguments."""
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items() if one is not None and name not in ("index", "parsed")}
    return [plain(one) for one in value] if isinstance(value, list) else value


@given(st.lists(NASTY))
def test_however_it_is_split_a_text_stays_the_same(texts: list[str]) -> None:
    assert content(streamed(spoken(*texts))) == ("".join(texts) or EMPTY_ANSWER)


def test_messages_are_joined_by_a_blank_line() -> None:
    events = played(Delta(delta="a"), Delta(delta="b", message=1), Completed())
    assert content(streamed(events)) == "a\n\nb"


def test_what_a_chat_does_not_show_sends_nothing() -> None:
    assert b"".join(map(ChatStream(RUN).feed, played(*UNSEEN, Delta(delta="")))) == b""
    assert folded(played(*UNSEEN, Delta(delta="a"), Completed())).choices[0].message.content == "a"


def test_a_run_without_text_gets_a_fixed_text() -> None:
    events = played(*UNSEEN, Completed())
    assert content(streamed(events)) == folded(events).choices[0].message.content == EMPTY_ANSWER


def test_the_text_of_a_run_without_text_can_be_chosen() -> None:
    assert content(streamed(spoken(), ChatStream(RUN, empty_answer="Nothing."))) == "Nothing."
    assert b"Nothing." in (ChatFold(RUN, empty_answer="Nothing.").feed(spoken()[0]) or b"")


@pytest.mark.parametrize("reason", list(FinishReason))
def test_the_reason_to_finish_is_passed_on(reason: FinishReason) -> None:
    events = played(Delta(delta="a"), Completed(finish_reason=reason))
    assert chunks(streamed(events))[-1].choices[0].finish_reason == reason
    assert folded(events).choices[0].finish_reason == reason


def test_exactly_one_chunk_finishes() -> None:
    reasons = [chunk.choices[0].finish_reason for chunk in chunks(streamed(spoken("a", "b")))]
    assert reasons == [None, None, None, "stop"]


def test_usage_comes_last_and_is_null_before() -> None:
    events = played(Delta(delta="a"), Completed(usage=TOKENS))
    *before, last = map(json.loads, payloads(streamed(events, ChatStream(RUN, include_usage=True)))[:-1])
    assert [chunk["usage"] for chunk in before] == [None, None, None]
    assert (last["choices"], last["usage"]) == ([], TOKENS.model_dump())


def test_usage_that_a_client_did_not_request_is_not_sent() -> None:
    assert b"usage" not in streamed(played(Delta(delta="a"), Completed(usage=TOKENS)))


def test_each_chunk_can_carry_the_number_of_its_event() -> None:
    stream = ChatStream(RUN, with_seq=True, include_usage=True)
    *data, _ = payloads(streamed(played(*UNSEEN, Delta(delta="a"), Completed()), stream))
    assert [json.loads(one)["seq"] for one in data] == [0, 7, 8, 8]


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (Failed(code="worker_lost", message=""), "worker_lost"),
        (Cancelled(reason=StopReason.USER), "cancelled"),
    ],
)
def test_a_failure_ends_both(end: Failed | Cancelled, code: str) -> None:
    events = played(Delta(delta="a"), end)
    *_, error, done = payloads(streamed(events))
    assert set(json.loads(error)["error"]) == {"message", "type", "code"}
    assert (json.loads(error)["error"]["code"], done) == (code, "[DONE]")
    with pytest.raises(ApiError) as failed:
        folded(events)
    assert json.loads(failed.value.body) == json.loads(error)


def test_a_stream_can_end_with_an_error_that_is_no_event() -> None:
    stream = ChatStream(RUN)
    assert stream.fail(run_failed("r", "run_lost", "")).endswith(sse.DONE)
    assert stream.done


def test_a_stream_is_done_after_the_end_and_not_before() -> None:
    stream = ChatStream(RUN)
    delta, end = spoken("a")
    assert not stream.done
    stream.feed(delta)
    assert not stream.done
    stream.feed(end)
    assert stream.done


# --- the official client ------------------------------------------------------------------------------------


class Player:
    """A service that sends these events to each client. It counts the requests."""

    def __init__(self, *data: EventData) -> None:
        self._events = played(*data)
        self.requests = 0
        self.app = Starlette(routes=[Route("/chat/completions", self._answer, methods=["POST"])])

    async def _answer(self, request: Request) -> Response:
        self.requests += 1
        headers = run_headers(RUN.run_id)
        if parse_json(await request.body()).get("stream"):
            return StreamingResponse(self._frames(), headers=sse.HEADERS | headers)
        try:
            *_, whole = map(ChatFold(RUN).feed, self._events)
        except ApiError as failure:
            return Response(failure.body, failure.status, failure.headers)
        return Response(whole, headers=headers)

    async def _frames(self) -> AsyncIterator[bytes]:
        stream = ChatStream(RUN, include_usage=True)
        yield sse.comment("here") + stream.begin()
        for event in self._events:
            yield stream.feed(event) + sse.comment("alive")


def client(port: int) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{port}", api_key="k")


async def test_the_official_client_reads_both_alike() -> None:
    text = 'data: [DONE]\n\nevent: x\r\n: "\\ \u2028\u0085 😀\x00'
    player = Player(Delta(delta=text[:9]), Delta(delta=text[9:]), Completed(usage=TOKENS))
    async with served(player.app) as port, client(port) as ai:
        whole = await ai.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}])
        async with ai.chat.completions.stream(
            model="m", messages=[{"role": "user", "content": "Hi"}], stream_options={"include_usage": True}
        ) as stream:
            final = await stream.get_final_completion()
    assert whole.choices[0].message.content == final.choices[0].message.content == text
    assert whole.usage is not None
    assert final.usage is not None
    assert whole.usage.total_tokens == final.usage.total_tokens == 3


async def test_the_official_client_raises_when_a_run_fails_and_does_not_ask_again() -> None:
    player = Player(Delta(delta="a"), Failed(code="worker_lost", message="The worker was lost."))
    async with served(player.app) as port, client(port) as ai:
        with pytest.raises(openai.InternalServerError) as whole:
            await ai.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}])
        stream = await ai.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}], stream=True)
        with pytest.raises(openai.APIError) as streamed:
            [chunk async for chunk in stream]
    assert whole.value.status_code == 503
    assert whole.value.code == streamed.value.code == "worker_lost"
    assert player.requests == 2
