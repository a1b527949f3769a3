"""The frames on the wire and their time. Whole requests are in test_chat_completions.py."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
from openai._streaming import ServerSentEvent, SSEDecoder
from redis.asyncio import Redis

from api.chat.chat_view import ChatStream
from api.chat.streamed_answer import chat_frames
from shared.ledger.ledger import Ledger
from shared.log.event_log import EventLog
from shared.run.events import Delta, Failed
from tests.api.reading import reader_of
from tests.api.running import text_of
from tests.api.stage import Attempt, Stage
from tests.broker import KEYS, Broker, Look, looking
from tests.runs import a_run, forget, submit


@pytest.fixture
async def attempt(stage: Stage, ledger: Ledger) -> Attempt:
    """A run under way without a queued event: its log begins with the start."""
    await submit(ledger, a_run())
    return await stage.take("one", " two")


@pytest.fixture
def frames(attempt: Attempt, redis: Redis, ledger: Ledger, log: EventLog) -> AsyncIterator[bytes]:
    """The run's chat frames."""
    reader, _ = reader_of(attempt.run_id, redis, ledger, log)
    return chat_frames(reader, ChatStream(attempt.claim.run), patience=0.01)


async def decoded(frames: AsyncIterator[bytes]) -> list[ServerSentEvent]:
    return [event async for event in SSEDecoder().aiter_bytes(frames)]


def code(event: ServerSentEvent) -> object:
    return json.loads(event.data)["error"]["code"]


def ttls(look: Look, *keys: str) -> list[int]:
    return [int(str(look.ttl(key))) for key in keys]


async def test_the_first_frame_is_there_before_anything_was_said(frames: AsyncIterator[bytes]) -> None:
    first = await anext(frames)
    assert first.startswith(b": connected\n\ndata: ")
    assert b'"delta":{"role":"assistant"}' in first


async def test_frames_that_are_ready_at_once_leave_in_one_piece(frames: AsyncIterator[bytes]) -> None:
    await anext(frames)
    piece = await anext(frames)
    assert piece.count(b"data: ") == 2


async def test_silence_is_a_comment(frames: AsyncIterator[bytes]) -> None:
    await anext(frames)
    await anext(frames)
    assert await anext(frames) == b": keep-alive\n\n"


async def test_a_stream_ends_with_the_run(frames: AsyncIterator[bytes], attempt: Attempt) -> None:
    await attempt.end()
    *chunks, done = await decoded(frames)
    assert (text_of(chunks), done.data) == ("one two", "[DONE]")
    assert json.loads(chunks[-1].data)["choices"][0]["finish_reason"] == "stop"


async def later(
    after: int, attempt: Attempt, redis: Redis, ledger: Ledger, log: EventLog
) -> tuple[str, list[int], list[str]]:
    """The stream for a client that reconnects after event `after`: its text, the chunks' numbers, and the data of the
    frames that are no chunk."""
    reader, _ = reader_of(attempt.run_id, redis, ledger, log)
    events = await decoded(chat_frames(reader, ChatStream(attempt.claim.run, with_seq=True), after=after))
    chunks = [event for event in events if event.data != "[DONE]"]
    return text_of(chunks), [json.loads(one.data)["seq"] for one in chunks], [one.data for one in events[len(chunks) :]]


async def test_a_stream_can_begin_after_any_event(
    attempt: Attempt, redis: Redis, ledger: Ledger, log: EventLog
) -> None:
    """1 is the start, 2 and 3 are the deltas, 4 is the end. Wherever the stream is cut, both parts make the whole."""
    await attempt.end()
    assert await later(0, attempt, redis, ledger, log) == ("one two", [0, 2, 3, 4], ["[DONE]"])
    assert await later(1, attempt, redis, ledger, log) == ("one two", [2, 3, 4], ["[DONE]"])
    assert await later(2, attempt, redis, ledger, log) == (" two", [3, 4], ["[DONE]"])
    assert await later(3, attempt, redis, ledger, log) == ("", [4], ["[DONE]"])


async def test_after_the_last_event_only_the_end_is_left(
    attempt: Attempt, redis: Redis, ledger: Ledger, log: EventLog
) -> None:
    """A stream without any end looks like one that was cut off."""
    await attempt.end()
    assert await later(4, attempt, redis, ledger, log) == ("", [], ["[DONE]"])


async def test_a_message_that_begins_after_the_place_still_begins_with_a_blank_line(
    attempt: Attempt, redis: Redis, ledger: Ledger, log: EventLog
) -> None:
    """How messages join depends on the text that the client already has."""
    await attempt.say(Delta(delta="three", message=1))
    await attempt.end()
    text, _, _ = await later(3, attempt, redis, ledger, log)
    assert text == "\n\nthree"


async def test_a_failure_is_told_and_ends_the_stream(frames: AsyncIterator[bytes], attempt: Attempt) -> None:
    await attempt.end(Failed(code="agent_failed", message="No."))
    *_, error, done = await decoded(frames)
    assert (code(error), done.data) == ("agent_failed", "[DONE]")


# --- runs that cannot be read to their end ----------------------------------------------------------------------------


async def test_a_server_that_stops_says_so(attempt: Attempt, redis: Redis, ledger: Ledger, log: EventLog) -> None:
    reader, hub = reader_of(attempt.run_id, redis, ledger, log)
    hub.end()
    *chunks, error, done = await decoded(chat_frames(reader, ChatStream(attempt.claim.run)))
    assert (text_of(chunks), code(error), done.data) == ("one two", "server_restarting", "[DONE]")


async def test_events_that_are_not_kept_any_more_are_told_and_not_passed_over(
    broker: Broker, attempt: Attempt, redis: Redis, ledger: Ledger, log: EventLog
) -> None:
    with looking(broker) as look:
        look.xdel(KEYS.stream(attempt.run_id), "0-1", "0-2")
    reader, _ = reader_of(attempt.run_id, redis, ledger, log)
    *chunks, error, done = await decoded(chat_frames(reader, ChatStream(attempt.claim.run)))
    assert (text_of(chunks), code(error), done.data) == ("", "events_gone", "[DONE]")


async def test_a_run_that_redis_has_lost_is_told(
    broker: Broker, frames: AsyncIterator[bytes], attempt: Attempt
) -> None:
    with looking(broker) as look:
        look.delete(KEYS.stream(attempt.run_id), KEYS.head(attempt.run_id))
        forget(look, attempt.run_id)
    *_, error, done = await decoded(frames)
    assert (code(error), done.data) == ("run_lost", "[DONE]")
