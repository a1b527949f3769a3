"""Tools, pictures and parameters of clients: official clients, the whole service, and a scripted model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletion, ChatCompletionMessage
from pydantic import JsonValue

from tests.e2e import model
from tests.e2e.asking import authorised, frames, payload
from tests.e2e.model import KEY
from tests.e2e.node_client import called as called_by_node
from tests.e2e.service import ALICE, Service, started
from tests.worker.agents.upstream import Upstream, chunk, piece, refusal, stream

Message = dict[str, Any]

TOOLS: list[Any] = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "parameters": {"type": "object", "properties": {"at": {"type": "string"}}},
            "strict": False,
        },
    }
]
SIGNATURE: JsonValue = {"google": {"thought_signature": "x"}}
COUNTS: JsonValue = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
CALLS = (
    chunk(role="assistant", content=None),
    piece(0, id="c1", type="function", name="weather", arguments="", extra_content=SIGNATURE),
    piece(0, arguments='{"at": '),
    piece(0, arguments='"Rome"}'),
    piece(1, id="c2", type="function", name="weather", arguments='{"at": "Oslo"}'),
    chunk(finish="tool_calls"),
    chunk(choices=False, usage=COUNTS),
)
ANSWER = (chunk(content="Rain in Rome, "), chunk(content="snow in Oslo."), chunk(finish="stop"))
QUESTION = {"role": "user", "content": "Weather?"}
RESULTS = [
    {"role": "tool", "tool_call_id": "c1", "content": "Rain"},
    {"role": "tool", "tool_call_id": "c2", "content": ""},
]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, Upstream]]:
    folder = tmp_path_factory.mktemp("model")
    with model.answering() as upstream, started(folder, settings=model.settings_for(upstream, folder)) as service:
        yield service, upstream


@pytest.fixture
def upstream(served: tuple[Service, Upstream]) -> Upstream:
    """The model, without the requests of earlier tests."""
    served[1].asked.clear()
    return served[1]


@pytest.fixture
def client(served: tuple[Service, Upstream]) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{served[0].url}/v1", api_key=ALICE, max_retries=0) as client:
        yield client


def completed(client: OpenAI, messages: Sequence[Message], *, streams: bool = False, **fields: Any) -> ChatCompletion:
    """The whole answer, or the one that the client itself assembles from a stream."""
    ask: dict[str, Any] = {"model": "gpt-4o", "messages": list(messages), "tools": TOOLS, **fields}
    if not streams:
        answer = client.chat.completions.create(**ask)
        assert isinstance(answer, ChatCompletion)
        return answer
    with client.chat.completions.stream(**ask, stream_options={"include_usage": True}) as events:
        return events.get_final_completion()


def as_message(answer: ChatCompletion) -> Message:
    """The message of an answer, as clients send it back."""
    return answer.choices[0].message.model_dump(exclude_none=True, exclude={"tool_calls": {"__all__": {"index"}}})


def called(message: ChatCompletionMessage) -> list[tuple[str, str]]:
    calls = [call for call in message.tool_calls or () if call.type == "function"]
    return [(call.id, call.function.arguments) for call in calls]


def sent_back(answer: ChatCompletion) -> Message:
    """The message of an answer, as the model's server has to get it."""
    return {"content": None, **as_message(answer)}


# --- the loop ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])
def test_a_loop(client: OpenAI, upstream: Upstream, streams: bool) -> None:
    upstream.answer(stream(*CALLS), stream(*ANSWER))
    asks = completed(client, [QUESTION], streams=streams)
    assert called(asks.choices[0].message) == [("c1", '{"at": "Rome"}'), ("c2", '{"at": "Oslo"}')]
    assert (asks.choices[0].message.content, asks.choices[0].finish_reason) == (None, "tool_calls")
    assert asks.usage is not None
    assert asks.usage.total_tokens == 7
    end = completed(client, [QUESTION, as_message(asks), *RESULTS], streams=streams)
    assert (end.choices[0].message.content, end.choices[0].finish_reason) == ("Rain in Rome, snow in Oslo.", "stop")
    first, second = upstream.asked
    assert (first["messages"], first["tools"]) == ([QUESTION], TOOLS)
    assert second["messages"] == [QUESTION, sent_back(asks), *RESULTS]
    assert SIGNATURE in [call.get("extra_content") for call in second["messages"][1]["tool_calls"]]  # type: ignore[index, call-overload, union-attr]


def test_the_loop_of_the_official_node_client(served: tuple[Service, Upstream], upstream: Upstream) -> None:
    """The client calls the functions itself, from a whole answer or from the one that it assembles from a stream."""
    for streams in (False, True):
        upstream.answer(stream(*CALLS), stream(*ANSWER))
        outcome = called_by_node(served[0], "tools", {"model": "m", "messages": [QUESTION], "stream": streams})
        assert outcome["received"] == ["Rome", "Oslo"]
        assert outcome["result"]["content"] == "Rain in Rome, snow in Oslo."
        results = [one for one in upstream.asked[-1]["messages"] if one["role"] == "tool"]  # type: ignore[index, union-attr, call-overload]
        assert [(one["tool_call_id"], one["content"]) for one in results] == [  # type: ignore[index, call-overload]
            ("c1", "Rain in Rome"),
            ("c2", "Rain in Oslo"),
        ]


def test_a_named_session_goes_through_a_loop_and_remembers_it(client: OpenAI, upstream: Upstream) -> None:
    """The client sends the whole conversation with each request, as clients do. The model gets no message twice."""
    upstream.answer(stream(*CALLS), stream(*ANSWER), stream(chunk(content="Never."), chunk(finish="stop")))
    asks = completed(client, [QUESTION], user="all")
    loop = [QUESTION, as_message(asks), *RESULTS]
    end = completed(client, loop, user="all")
    completed(client, [*loop, as_message(end), {"role": "user", "content": "And sun?"}], user="all")
    _, second, third = upstream.asked
    assert second["messages"] == [QUESTION, sent_back(asks), *RESULTS]
    assert third["messages"] == [
        QUESTION,
        sent_back(asks),
        *RESULTS,
        {"role": "assistant", "content": "Rain in Rome, snow in Oslo."},
        {"role": "user", "content": "And sun?"},
    ]


def test_a_client_may_leave_all_but_the_results_to_its_named_session(client: OpenAI, upstream: Upstream) -> None:
    upstream.answer(stream(*CALLS), stream(*ANSWER))
    asks = completed(client, [QUESTION], user="results")
    completed(client, [*RESULTS, {"role": "user", "content": "Be brief."}], user="results")
    assert upstream.asked[1]["messages"] == [
        QUESTION,
        sent_back(asks),
        *RESULTS,
        {"role": "user", "content": "Be brief."},
    ]


def test_a_user_who_turns_to_something_else_leaves_the_call_behind(client: OpenAI, upstream: Upstream) -> None:
    upstream.answer(stream(*CALLS), stream(*ANSWER))
    completed(client, [QUESTION], user="elsewhere")
    completed(client, [{"role": "user", "content": "Never mind."}], user="elsewhere")
    assert upstream.asked[1]["messages"] == [QUESTION, {"role": "user", "content": "Never mind."}]


def test_a_client_that_comes_back_gets_the_calls_from_any_place_on(
    served: tuple[Service, Upstream], client: OpenAI, upstream: Upstream
) -> None:
    upstream.answer(stream(*CALLS))
    run = completed(client, [QUESTION]).id
    with httpx.Client(base_url=served[0].url, headers=authorised()) as http:
        view = http.get(f"/v1/runs/{run}").json()
        assert (view["text"], view["finish_reason"]) == ("", "tool_calls")
        assert [(call["id"], call["arguments"]) for call in view["tool_calls"]] == [
            ("c1", '{"at": "Rome"}'),
            ("c2", '{"at": "Oslo"}'),
        ]
        whole = list(chunks(http, run, after=0))
        assert any("tool_calls" in choice["delta"] for one in whole for choice in one["choices"])
        for place in {one["seq"] for one in whole}:
            assert list(chunks(http, run, after=place)) == [one for one in whole if one["seq"] > place]
        received = http.get(f"/v1/runs/{run}/events").text
    assert "event: call\n" in received
    assert '"arguments":"' in received


def chunks(http: httpx.Client, run: str, *, after: int) -> Iterator[Message]:
    """The chunks that belong to an event."""
    answer = http.get(f"/v1/chat/completions/{run}?stream=true&starting_after={after}")
    received_frames = [frame for frame in frames([answer.content]) if not frame.startswith(":")]
    assert received_frames.pop() == "data: [DONE]"
    yield from (one for one in map(payload, received_frames) if one["seq"])


# --- pictures and parameters ------------------------------------------------------------------------------------------

PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 200_000, "detail": "low"}}


def test_a_picture_reaches_the_model_also_in_a_loop_of_a_named_session(client: OpenAI, upstream: Upstream) -> None:
    """The session does not keep a picture of this size; while the loop goes on, the client still sends it."""
    upstream.answer(stream(*CALLS), stream(*ANSWER), stream(*ANSWER))
    question = {"role": "user", "content": [{"type": "text", "text": "What is"}, PICTURE]}
    asks = completed(client, [question], user="pictures")
    completed(client, [question, as_message(asks), *RESULTS], user="pictures")
    completed(client, [{"role": "user", "content": "And now?"}], user="pictures")
    first, second, third = (one["messages"] for one in upstream.asked)
    assert first == [question]
    assert second == [question, sent_back(asks), *RESULTS]
    assert isinstance(third, list)
    assert third[0] == {"role": "user", "content": "What is"}


def test_an_agent_of_another_kind_is_given_what_it_may_use(client: OpenAI) -> None:
    question = {"role": "user", "content": [PICTURE]}
    answer = completed(client, [question], model="clawdbot:mirror", temperature=0.5, n=2)
    given = json.loads(answer.choices[0].message.content or "")
    assert (given["message"], given["tools"], given["params"]) == ("[image]", TOOLS, {"temperature": 0.5})
    assert given["current"][0]["parts"] == [{"type": "image_url", "value": PICTURE["image_url"]}]


def test_parameters_reach_the_model(client: OpenAI, upstream: Upstream) -> None:
    params: dict[str, Any] = {"temperature": 0, "max_tokens": 9, "stop": ["x"], "tool_choice": "auto", "seed": 1}
    form = {"type": "json_schema", "json_schema": {"name": "f", "schema": {"type": "object"}}}
    upstream.answer(stream(chunk(content="{", finish="length")))
    answer = completed(client, [QUESTION], **params, response_format=form, store=True)
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("{", "length")
    (sent,) = upstream.asked
    assert {name: sent[name] for name in params} == params
    assert sent["response_format"] == form
    assert "store" not in sent


# --- what the model's server refuses ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "error", "code", "expected"),
    [
        ((400, "temperature must be at most 2", "bad"), openai.BadRequestError, "invalid_request", "at most 2"),
        ((400, "no", "context_length_exceeded"), openai.BadRequestError, "context_length_exceeded", "too long"),
        ((400, "no", "content_filter"), openai.BadRequestError, "content_filter", "its content"),
        ((429, "no", "rate_limit_exceeded"), openai.RateLimitError, "rate_limit_exceeded", "rate limit"),
        ((401, f"Incorrect API key: {KEY}", ""), openai.InternalServerError, "upstream_error", "credentials"),
        ((500, "no", ""), openai.InternalServerError, "upstream_error", "status 500"),
        ((504, "no", ""), openai.InternalServerError, "upstream_timeout", "in time"),
    ],
)
def test_what_the_models_server_refuses(
    served: tuple[Service, Upstream],
    upstream: Upstream,
    answer: tuple[int, str, str],
    error: type[openai.APIStatusError],
    code: str,
    expected: str,
) -> None:
    """Whole and as a stream. With its default settings the official client does not repeat the request."""
    upstream.answer(refusal(*answer), refusal(*answer))
    with OpenAI(base_url=f"{served[0].url}/v1", api_key=ALICE) as client:
        with pytest.raises(error) as whole:
            completed(client, [QUESTION])
        with pytest.raises(openai.APIError) as streamed:
            completed(client, [QUESTION], streams=True)
    assert whole.value.code == streamed.value.code == code
    assert expected in whole.value.message
    assert KEY not in whole.value.message + streamed.value.message
    assert upstream.url not in whole.value.message
    assert len(upstream.asked) == 2


def test_half_a_call_does_not_look_whole(client: OpenAI, upstream: Upstream) -> None:
    upstream.answer(stream(*CALLS[:3], done=False), stream(*CALLS[:3], done=False))
    with pytest.raises(openai.InternalServerError, match="broke off"):
        completed(client, [QUESTION])
    with pytest.raises(openai.APIError, match="broke off"):
        completed(client, [QUESTION], streams=True)
