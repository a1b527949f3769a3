from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import pytest

from api.http.api_errors import ApiError
from api.intake.run_access import RunAccess
from api.relay.hub import Hub
from api.relay.reader_heartbeat import ReaderHeartbeat
from api.relay.relay import Relay
from shared.ledger.ledger import Ledger
from shared.ledger.reader_leases import ReaderLeases
from shared.log.event_log import EventLog, Head
from shared.observe.supervision import Beat
from shared.redis.pipe import Pipe
from shared.run.errors import Unavailable
from shared.run.events import Completed, Delta
from shared.run.states import State
from tests.broker import KEYS, Broker, Look, opened_client
from tests.events import said
from tests.runs import a_run, forget, submit
from tests.wait import wait_until


@pytest.fixture
async def readers(pipe: Pipe) -> ReaderHeartbeat:
    return ReaderHeartbeat(ReaderLeases(pipe, KEYS))


@pytest.fixture
async def access(broker: Broker, ledger: Ledger, log: EventLog, readers: ReaderHeartbeat) -> AsyncIterator[RunAccess]:
    async with opened_client(broker, connections=1) as link:
        hub = Hub(link, resting=KEYS.channel("rest"))
        async with anyio.create_task_group() as group:
            group.start_soon(hub.listen, Beat())
            await wait_until(lambda: hub._link, "the link stands")
            yield RunAccess(Relay(hub, log, ledger), readers, ledger, log)
            group.cancel_scope.cancel()


async def test_a_run_that_has_just_gone_cannot_be_followed(access: RunAccess, ledger: Ledger, look: Look) -> None:
    run = a_run()
    await submit(ledger, run)
    forget(look, run.run_id)
    with pytest.raises(Unavailable):
        async with access.attach(run.run_id):
            raise AssertionError("it is gone")


async def test_a_run_is_shown_to_its_owner_only(access: RunAccess, ledger: Ledger) -> None:
    run = a_run()
    await submit(ledger, run)
    assert (await access.record_of_owner(run.run_id, "alice")).state is State.QUEUED
    async with access.attach_owned(run.run_id, "alice") as (followed, _):
        assert followed == run
    for run_id, owner in ((run.run_id, "bob"), ("chatcmpl_none", "alice")):
        with pytest.raises(ApiError) as failure:
            async with access.attach_owned(run_id, owner):
                raise AssertionError("it was shown")
        assert failure.value.status == 404


async def test_an_operator_observes_any_run_and_is_no_reader_of_it(
    access: RunAccess, readers: ReaderHeartbeat, ledger: Ledger
) -> None:
    """Else a run would go on for an operator whose client has left."""
    run = a_run(owner="bob")
    await submit(ledger, run)
    async with access.observe(run.run_id) as (observed, _):
        assert (observed, readers.count) == (run, 0)
    async with access.attach(run.run_id):
        assert readers.count == 1
    with pytest.raises(ApiError) as failure:
        async with access.observe("chatcmpl_none"):
            raise AssertionError("there is none")
    assert failure.value.status == 404


async def test_a_cursor_beyond_the_log_is_refused_by_the_name_that_the_client_used(
    access: RunAccess, ledger: Ledger, log: EventLog
) -> None:
    run = a_run()
    await submit(ledger, run)
    await log.fence(run.run_id, 1)
    await log.append(said(Delta(delta="Hi"), Completed(), run_id=run.run_id), Head(2, 2))
    assert (await access.check_cursor(run.run_id, 2, "after")).seq == 2
    with pytest.raises(ApiError, match="`Last-Event-ID`: the run's last event is 2") as failure:
        await access.check_cursor(run.run_id, 3, "Last-Event-ID")
    assert (failure.value.status, failure.value.error["param"]) == (400, "Last-Event-ID")
