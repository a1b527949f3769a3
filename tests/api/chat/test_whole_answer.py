from __future__ import annotations

import json

import pytest
from redis.asyncio import Redis
from starlette.responses import Response

from api.chat.chat_view import ChatFold
from api.chat.whole_answer import REJOIN_MS, completion_response
from api.http.api_errors import ApiError
from shared.ledger.ledger import Ledger
from shared.log.event_log import EventLog
from shared.run.clock import now_ms
from shared.run.events import Cancelled, Failed, StopReason
from tests.api.reading import reader_of
from tests.api.stage import Attempt, Stage
from tests.broker import KEYS, Broker, looking
from tests.runs import a_run, submit


@pytest.fixture
async def attempt(stage: Stage, ledger: Ledger) -> Attempt:
    await submit(ledger, a_run(created_ms=now_ms()))
    return await stage.take("one", " two")


async def answer(
    attempt: Attempt, redis: Redis, ledger: Ledger, log: EventLog, *, repeatable: bool = False, ending: bool = False
) -> Response:
    reader, hub = reader_of(attempt.run_id, redis, ledger, log)
    if ending:
        hub.end()
    run = attempt.claim.run
    return await completion_response(run, reader, ChatFold(run), repeatable=repeatable)


async def test_the_text_of_a_run(attempt: Attempt, redis: Redis, ledger: Ledger, log: EventLog) -> None:
    await attempt.end()
    whole = await answer(attempt, redis, ledger, log)
    assert json.loads(bytes(whole.body))["choices"][0]["message"]["content"] == "one two"
    assert (whole.headers["x-run-id"], whole.headers["x-should-retry"]) == (attempt.run_id, "false")


@pytest.mark.parametrize(
    ("end", "status", "code"),
    [
        (Failed(code="agent_failed", message="No."), 500, "agent_failed"),
        (Failed(code="worker_lost", message="No."), 503, "worker_lost"),
        (Cancelled(reason=StopReason.USER), 409, "cancelled"),
        (Cancelled(reason=StopReason.TIMEOUT), 504, "cancelled"),
    ],
)
async def test_any_other_end_is_a_failure(
    attempt: Attempt, redis: Redis, ledger: Ledger, log: EventLog, end: Failed | Cancelled, status: int, code: str
) -> None:
    await attempt.end(end)
    with pytest.raises(ApiError) as failed:
        await answer(attempt, redis, ledger, log, repeatable=True)
    assert (failed.value.status, failed.value.error["code"]) == (status, code)
    assert failed.value.headers["x-should-retry"] == "false"


async def test_a_gap_is_a_failure_and_no_shorter_text(
    broker: Broker, attempt: Attempt, redis: Redis, ledger: Ledger, log: EventLog
) -> None:
    await attempt.end()
    with looking(broker) as look:
        look.xdel(KEYS.stream(attempt.run_id), "0-2")
    with pytest.raises(ApiError) as failed:
        await answer(attempt, redis, ledger, log, repeatable=True)
    assert (failed.value.status, failed.value.error["code"]) == (503, "events_gone")
    assert failed.value.headers["x-should-retry"] == "false"


@pytest.mark.parametrize(
    ("age_ms", "repeatable", "again"), [(0, True, "true"), (0, False, "false"), (REJOIN_MS, True, "false")]
)
async def test_a_server_that_stops_asks_for_another_try_if_that_would_join_the_run(
    stage: Stage, redis: Redis, ledger: Ledger, log: EventLog, age_ms: int, repeatable: bool, again: str
) -> None:
    """A try that does not join would run an agent that edits files a second time."""
    await submit(ledger, a_run(created_ms=now_ms() - age_ms))
    attempt = await stage.take("one")
    with pytest.raises(ApiError) as failed:
        await answer(attempt, redis, ledger, log, repeatable=repeatable, ending=True)
    assert (failed.value.status, failed.value.error["code"]) == (503, "server_restarting")
    assert failed.value.headers["x-should-retry"] == again
