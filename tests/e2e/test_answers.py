"""The whole answer and the streamed answer of a run, byte by byte."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from hypothesis import given as for_any
from hypothesis import settings
from hypothesis import strategies as st

from shared.run.text import well_formed
from tests.e2e.asking import CHAT, asked, broken_off, content, frames, payload, received_until, stream, streamed
from tests.e2e.play import BREATHE, NEW_MESSAGE, Play, Step, fail, say, usage, wait
from tests.e2e.service import Service
from tests.e2e.waiting import until

EMPTY_ANSWER = "No response from Clawdbot."
REASONING: Step = {"stream": "reasoning", "data": {"delta": "hm"}}
TOOL: Step = {"stream": "tool", "data": {"phase": "start", "name": "ls", "args": {"path": "/"}}}


def scripted(play: Play, **fields: object) -> dict[str, object]:
    return asked(play.message, "scripted", **fields)


def all_of(http: httpx.Client, play: Play, **fields: object) -> str:
    """All bytes of a run's stream, as text."""
    answer = http.post(CHAT, json=scripted(play, stream=True, **fields))
    assert answer.status_code == 200, answer.text
    return answer.text


# --- whole ------------------------------------------------------------------------------------------------------------


def test_a_whole_answer_is_exactly_this(http: httpx.Client, service: Service) -> None:
    play = service.play(say("Hel"), say("lo"), usage(3, 4))
    answer = http.post(CHAT, json=scripted(play))
    body = answer.json()
    run, created = play.starts[0].run, body["created"]
    assert isinstance(created, int)
    assert body == {
        "id": run,
        "object": "chat.completion",
        "created": created,
        "model": "clawdbot:scripted",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
    }
    assert re.fullmatch(r"chatcmpl_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", run)
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert (answer.headers["x-run-id"], answer.headers["x-should-retry"]) == (run, "false")


def test_usage_is_zeros_when_the_agent_told_none(http: httpx.Client) -> None:
    body = http.post(CHAT, json=asked("Hi", "echo")).json()
    assert body["usage"] == {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


@pytest.mark.parametrize("model", ["gpt-4o", "", "Ünï/code 😀", " clawdbot:echo ", "x" * 1_000])
@pytest.mark.parametrize("streams", [False, True])
def test_the_model_is_echoed_as_it_was_written(http: httpx.Client, model: str, streams: bool) -> None:
    assert echoed(http, model, streams) == {model}


@pytest.mark.parametrize("model", [None, 1, ["a"], {"a": 1}, True])
@pytest.mark.parametrize("streams", [False, True])
def test_a_model_that_is_no_string_is_echoed_as_clawdbot(http: httpx.Client, model: object, streams: bool) -> None:
    assert echoed(http, model, streams) == {"clawdbot"}


def echoed(http: httpx.Client, model: object, streams: bool) -> set[str]:
    answer = http.post(CHAT, json={**asked("Hi"), "model": model, "stream": streams})
    if not streams:
        return {answer.json()["model"]}
    _, *chunks, _ = frames([answer.content])
    return {payload(chunk)["model"] for chunk in chunks}


def test_a_failed_run_is_told_with_its_id_and_nothing_of_the_inside(http: httpx.Client, service: Service) -> None:
    play = service.play(say("half"), fail("see redis://:pw@10.0.0.1:6379/0 and /home/me/agent.py"))
    answer = http.post(CHAT, json=scripted(play))
    run = play.starts[0].run
    error = answer.json()["error"]
    assert (answer.status_code, error["type"], error["code"]) == (500, "api_error", "agent_failed")
    assert run in error["message"]
    assert not re.search("redis|pw|10.0.0.1|/home|half", error["message"])
    assert (answer.headers["x-run-id"], answer.headers["x-should-retry"]) == (run, "false")


# --- streamed ---------------------------------------------------------------------------------------------------------


def test_a_stream_is_exactly_this(http: httpx.Client, service: Service) -> None:
    play = service.play(say("Hel"), wait("on"), say("lo"))
    with stream(http, scripted(play)) as received:
        got = [next(received), next(received), next(received)]
        play.open("on")
        got += received
    run, created = play.starts[0].run, payload(got[1])["created"]
    head = f'data: {{"id":"{run}","object":"chat.completion.chunk","created":{created},"model":"clawdbot:scripted",'
    assert got[0].startswith(": ")
    assert got[1:] == [
        head + '"choices":[{"index":0,"delta":{"role":"assistant"},"finish_reason":null}]}',
        head + '"choices":[{"index":0,"delta":{"content":"Hel"},"finish_reason":null}]}',
        head + '"choices":[{"index":0,"delta":{"content":"lo"},"finish_reason":null}]}',
        head + '"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}',
        "data: [DONE]",
    ]


def test_the_headers_of_a_stream(http: httpx.Client, service: Service) -> None:
    play = service.play(say("Hello"))
    answer = http.post(CHAT, json=scripted(play, stream=True))
    expected = {
        "content-type": "text/event-stream; charset=utf-8",
        "cache-control": "no-cache, no-transform",
        "x-accel-buffering": "no",
        "x-run-id": play.starts[0].run,
        "x-should-retry": "false",
    }
    assert expected.items() <= dict(answer.headers).items()
    assert "content-length" not in answer.headers


def test_the_role_comes_before_the_agent_starts(http: httpx.Client, service: Service) -> None:
    """The client gets the role of the second run while the first run of the session keeps it from starting."""
    first, second = service.play(say("one"), wait("on")), service.play(say("two"))
    with stream(http, scripted(first, user="role")) as one, stream(http, scripted(second, user="role")) as two:
        before = received_until("one", one)
        assert next(two).startswith(":")
        assert payload(next(two))["choices"][0]["delta"] == {"role": "assistant"}
        assert second.starts == []
        first.open("on")
        assert (streamed([*before, *one]), list(two)[-1]) == ("one", "data: [DONE]")


def test_with_usage_every_chunk_has_the_field_and_the_last_one_the_numbers(
    http: httpx.Client, service: Service
) -> None:
    play = service.play(say("Hello"), usage(3, 4))
    body = all_of(http, play, stream_options={"include_usage": True})
    _, *chunks, last, done = frames([body.encode()])
    assert [payload(chunk)["usage"] for chunk in chunks] == [None] * len(chunks)
    assert payload(chunks[-1])["choices"][0]["finish_reason"] == "stop"
    assert payload(last)["choices"] == []
    assert payload(last)["usage"] == {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    assert done == "data: [DONE]"


@pytest.mark.parametrize("options", [None, True, {}, {"include_usage": False}, {"include_usage": "true"}, []])
def test_without_it_no_chunk_has_the_field(http: httpx.Client, service: Service, options: object) -> None:
    body = all_of(http, service.play(say("Hello"), usage(3, 4)), stream_options=options)
    assert "usage" not in body


def test_a_failure_ends_the_stream_instead_of_a_finish(http: httpx.Client, service: Service) -> None:
    play = service.play(say("half an ans"), fail("out of ideas"))
    body = all_of(http, play, stream_options={"include_usage": True})
    error = broken_off(frames([body.encode()]))
    assert set(error) == {"message", "type", "code"}
    assert (error["type"], error["code"]) == ("api_error", "agent_failed")
    assert play.starts[0].run in error["message"]
    assert '"content":"half an ans"' in body


@pytest.mark.parametrize(
    "steps",
    [
        [say("Hello"), usage(1, 1)],
        [],
        [TOOL, REASONING, say("Hello")],
        [say("a"), fail("no")],
        [say("id: 1\nretry: 5\nevent: x\n\ndata: y\r\n: comment")],
    ],
    ids=["plain", "silent", "tools", "failing", "framing"],
)
def test_a_stream_has_comments_and_data_and_nothing_else(
    http: httpx.Client, service: Service, steps: list[Step]
) -> None:
    """`id:`, `retry:` and `event:` break OpenAI's clients."""
    assert re.fullmatch(r"((: |data: )[^\r\n]+\n\n)+", all_of(http, service.play(*steps)))


@pytest.mark.parametrize("value", [True, "false", "0", [], {}, 1, -1, 0.5])
def test_what_javascript_takes_for_true_streams(http: httpx.Client, value: object) -> None:
    answer = http.post(CHAT, json=asked("Hi", "echo", stream=value))
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert streamed(frames([answer.content])) == "Hi"


@pytest.mark.parametrize("value", [False, None, 0, 0.0, "", -0.0])
def test_what_javascript_takes_for_false_does_not(http: httpx.Client, value: object) -> None:
    assert content(http.post(CHAT, json=asked("Hi", "echo", stream=value))) == "Hi"


# --- both are equal ---------------------------------------------------------------------------------------------------


def both(http: httpx.Client, service: Service, *steps: Step) -> tuple[str, str]:
    """The text of the whole answer and of the stream."""
    whole = http.post(CHAT, json=scripted(service.play(*steps)))
    return content(whole), streamed(frames([all_of(http, service.play(*steps)).encode()]))


@pytest.mark.parametrize(
    ("steps", "text"),
    [
        ([], EMPTY_ANSWER),
        ([say("")], EMPTY_ANSWER),
        ([TOOL, REASONING, usage(1, 1)], EMPTY_ANSWER),
        ([NEW_MESSAGE, NEW_MESSAGE], EMPTY_ANSWER),
        ([say("one"), NEW_MESSAGE, say("two")], "one\n\ntwo"),
        ([say("one"), NEW_MESSAGE, say(""), NEW_MESSAGE, TOOL, say("two")], "one\n\ntwo"),
        ([NEW_MESSAGE, say("one"), NEW_MESSAGE], "one"),
        (
            [say("a\r\nb\u2028c\u0085"), say("data: [DONE]\n\n"), say("[DONE]")],
            "a\r\nb\u2028c\u0085data: [DONE]\n\n[DONE]",
        ),
        ([say("\ud83d"), say("\ude00"), say("\ud83d\ude00")], "\ufffd\ufffd😀"),
        ([say(" "), say("\x00")], " \x00"),
    ],
)
def test_stream_and_whole_say_the_same(http: httpx.Client, service: Service, steps: list[Step], text: str) -> None:
    assert both(http, service, *steps) == (text, text)


def test_a_giant_answer_arrives_whole_in_both(http: httpx.Client, service: Service) -> None:
    piece = "0123456789abcdef😀" * 1_000
    assert both(http, service, *[say(piece)] * 100) == (piece * 100, piece * 100)


def test_ten_thousand_deltas_arrive_in_order(http: httpx.Client, service: Service) -> None:
    text = "".join(f"{number} " for number in range(10_000))
    assert both(http, service, *(say(f"{number} ") for number in range(10_000))) == (text, text)


def test_an_answer_beyond_the_bound_is_an_error_in_both(http: httpx.Client, service: Service) -> None:
    steps = [say("x" * 500_000)] * 9
    whole = http.post(CHAT, json=scripted(service.play(*steps)))
    assert (whole.status_code, whole.json()["error"]["code"]) == (500, "output_too_large")
    broken = broken_off(frames([all_of(http, service.play(*steps)).encode()]))
    assert broken["code"] == "output_too_large"


def test_a_slow_reader_holds_up_neither_the_agent_nor_others_and_misses_nothing(
    http: httpx.Client, service: Service
) -> None:
    """The text is longer than all buffers on the way, and comes in more pieces than the API keeps for a reader."""
    piece = "😀" * 5_000
    play = service.play(*[say(piece), BREATHE] * 400)
    with stream(http, scripted(play)) as received:
        first = next(received)
        until(lambda: play.events("end"))
        assert content(http.post(CHAT, json=asked("Hi", "echo"))) == "Hi"
        assert streamed([first, *received]) == piece * 400


def test_many_at_once_each_get_their_own(http: httpx.Client, service: Service) -> None:
    with ThreadPoolExecutor(20) as pool:
        posted = pool.map(lambda n: http.post(CHAT, json=asked(f"number {n}", "echo", stream=n % 2)), range(60))
        body = [streamed(frames([a.content])) if n % 2 else content(a) for n, a in enumerate(posted)]
    assert body == [f"number {n}" for n in range(60)]


FRAMING = st.sampled_from(["data: ", "data: [DONE]\n\n", "[DONE]", "\n\n", "\r", "\u2028", "event: x\n", ": ", "😀"])
TEXT = st.text(st.characters()) | FRAMING  # lone surrogates, too


@settings(max_examples=25, deadline=None)
@for_any(st.lists(TEXT, max_size=8))
def test_any_text_in_any_split_is_the_same_in_both(http: httpx.Client, service: Service, pieces: list[str]) -> None:
    text = "".join(map(well_formed, pieces)) or EMPTY_ANSWER
    assert both(http, service, *map(say, pieces)) == (text, text)


def test_what_is_sent_is_ascii_and_so_cannot_be_cut_in_mid_character(http: httpx.Client, service: Service) -> None:
    body = all_of(http, service.play(say("😀 \u2028 é")))
    assert body.isascii()
    assert streamed(frames([body.encode()])) == "😀 \u2028 é"
