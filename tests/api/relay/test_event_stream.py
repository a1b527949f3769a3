"""Events as clients of runrelay's own API get them. Whole requests are in test_run_endpoints.py."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
from openai._streaming import ServerSentEvent, SSEDecoder
from redis.asyncio import Redis

from api.relay.event_stream import event_frames
from shared.ledger.ledger import Ledger
from shared.log.event_log import EventLog, Head
from shared.run.events import Queued, make_event
from tests.api.reading import reader_of
from tests.api.stage import Attempt, Stage
from tests.broker import KEYS, Broker, Look, looking
from tests.runs import a_run, submit


@pytest.fixture
async def attempt(stage: Stage, ledger: Ledger) -> Attempt:
    """A run under way without a queued event: its log begins with the start."""
    await submit(ledger, a_run())
    return await stage.take("one", " two")


async def decoded(frames: AsyncIterator[bytes]) -> list[ServerSentEvent]:
    return [event async for event in SSEDecoder().aiter_bytes(frames)]


def code(event: ServerSentEvent) -> object:
    return json.loads(event.data)["error"]["code"]


def ttls(look: Look, *keys: str) -> list[int]:
    return [int(str(look.ttl(key))) for key in keys]


async def test_the_log_of_a_run_that_waits_is_kept_while_a_client_reads_it(
    broker: Broker, redis: Redis, ledger: Ledger, log: EventLog
) -> None:
    """The run has no worker yet that would keep the log."""
    run = a_run()
    await submit(ledger, run)
    place = {"run_id": run.run_id, "session_key": run.session_key, "attempt": 0, "seq": 1, "ts": 1}
    await log.append([make_event(Queued(), **place)], Head(seq=1))  # type: ignore[arg-type]
    reader, _ = reader_of(run.run_id, redis, ledger, log)
    assert await reader.batch(1)
    keys = [KEYS.stream(run.run_id), KEYS.head(run.run_id)]
    with looking(broker) as look:
        for key in keys:
            look.expire(key, 30)
        assert await reader.batch(0.001) == []
        assert min(ttls(look, *keys)) > 30


async def test_the_log_of_a_run_that_has_ended_is_not(
    broker: Broker, attempt: Attempt, redis: Redis, ledger: Ledger, log: EventLog
) -> None:
    await attempt.end()
    reader, _ = reader_of(attempt.run_id, redis, ledger, log)
    assert await reader.batch(1)
    key = KEYS.stream(attempt.run_id)
    with looking(broker) as look:
        look.expire(key, 30)
        assert await reader.batch(0.001) == []
        assert max(ttls(look, key)) <= 30


async def test_events_have_numbers_and_names(attempt: Attempt, redis: Redis, ledger: Ledger, log: EventLog) -> None:
    await attempt.end()
    reader, _ = reader_of(attempt.run_id, redis, ledger, log)
    events = await decoded(event_frames(reader))
    assert [(event.id, event.event) for event in events] == [
        ("1", "lifecycle"),
        ("2", "assistant"),
        ("3", "assistant"),
        ("4", "lifecycle"),
    ]
    assert json.loads(events[1].data)["data"] == {"delta": "one", "message": 0}
    assert {json.loads(event.data)["runId"] for event in events} == {attempt.run_id}


async def test_why_there_are_no_more_events_is_an_event(
    attempt: Attempt, redis: Redis, ledger: Ledger, log: EventLog
) -> None:
    reader, hub = reader_of(attempt.run_id, redis, ledger, log)
    hub.end()
    *_, last = await decoded(event_frames(reader))
    assert (last.event, last.id, code(last)) == ("error", "3", "server_restarting")
