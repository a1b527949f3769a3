from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
import pytest
from redis.asyncio import Redis

from shared.ledger.ledger import Ledger
from shared.ledger.operations import Operations
from shared.ledger.presence import Presence
from shared.log.event_log import EventLog
from shared.observe.supervision import Beat
from shared.redis.pipe import Pipe
from shared.run.events import StopReason
from tests.broker import KEYS, Broker, Look, RealBroker, looking, opened_client
from tests.deaf import deaf_redis
from tests.runs import running
from tests.shared.announcing import announcement
from tests.wait import wait_until
from worker.attempt.execution import Execution
from worker.claim.control import Control
from worker.claim.leases import Leases


@pytest.fixture
def leases(ledger: Ledger, log: EventLog) -> Leases:
    return Leases(ledger, log, lease_seconds=60)


@asynccontextmanager
async def listening(
    broker: Broker, leases: Leases, *, ping_seconds: float = 60, on_order: Callable[[], None] = lambda: None
) -> AsyncIterator[Redis]:
    with looking(broker) as look:
        async with opened_client(broker, connections=1) as client, anyio.create_task_group() as group:
            group.start_soon(
                Control(client, KEYS, leases, worker="w1", on_order=on_order, ping_seconds=ping_seconds).listen,
                Beat(),
            )
            await wait_until(lambda: listeners(look), "the worker listens")
            yield client
            group.cancel_scope.cancel()


def listeners(look: Look) -> int:
    return int(dict(look.pubsub_numsub(KEYS.control))[KEYS.control.encode()])


async def held(leases: Leases, ledger: Ledger) -> Execution:
    execution = Execution(await running(ledger))
    leases.hold(execution)
    return execution


@pytest.mark.parametrize("reason", [StopReason.USER, StopReason.TIMEOUT, StopReason.DISCONNECT])
async def test_a_cancelled_run_is_stopped_at_once(
    broker: Broker, ledger: Ledger, leases: Leases, reason: StopReason
) -> None:
    execution, other = await held(leases, ledger), await held(leases, ledger)
    async with listening(broker, leases):
        await ledger.cancel(execution.run_id, reason)
        await wait_until(lambda: execution.stopped, "the run is stopped")
    assert execution.stopped is reason
    assert other.stopped is None


async def test_the_first_reason_is_the_one_that_is_told(broker: Broker, ledger: Ledger, leases: Leases) -> None:
    """The message may carry a second order, when the worker missed the message of the first."""
    execution = await held(leases, ledger)
    await ledger.cancel(execution.run_id, StopReason.DISCONNECT)
    async with listening(broker, leases):
        await ledger.cancel(execution.run_id, StopReason.USER)
        await wait_until(lambda: execution.stopped, "the run is stopped")
    assert execution.stopped is StopReason.DISCONNECT


@pytest.mark.parametrize(
    "order",
    ["", "nonsense", "{}", '{"run": "r", "stop": "of a later release"}', '{"run": "elsewhere", "stop": "user"}'],
)
async def test_what_is_no_order_for_this_worker_is_passed_over(
    broker: Broker, ledger: Ledger, leases: Leases, look: Look, order: str
) -> None:
    execution = await held(leases, ledger)
    async with listening(broker, leases):
        look.publish(KEYS.control, order)
        await ledger.cancel(execution.run_id, StopReason.USER)
        await wait_until(lambda: execution.stopped, "the order after it is followed")


async def test_a_link_that_was_cut_is_taken_anew(real_broker: Broker) -> None:
    async with opened_ledger(real_broker) as (ledger, leases):
        execution = await held(leases, ledger)
        with looking(real_broker) as look:
            async with listening(real_broker, leases):
                look.client_kill_filter(_type="pubsub")
                await wait_until(lambda: not listeners(look), "the link is cut")
                await wait_until(lambda: listeners(look), "the worker listens again")
                await ledger.cancel(execution.run_id, StopReason.USER)
                await wait_until(lambda: execution.stopped, "the run is stopped")


async def test_a_silent_link_that_answers_is_kept(real_broker: Broker) -> None:
    """The pings are so far apart that a busy machine does not make the answer late."""
    async with opened_ledger(real_broker) as (ledger, leases):
        execution = await held(leases, ledger)
        with looking(real_broker) as look:
            async with listening(real_broker, leases, ping_seconds=0.25):
                before = _link(look)
                for _ in range(3):  # several pings and their answers
                    pings = _pings(look)
                    await wait_until(lambda pings=pings: _pings(look) > pings, "the link was pinged")  # type: ignore[misc]
                assert _link(look) == before
                await ledger.cancel(execution.run_id, StopReason.USER)
                await wait_until(lambda: execution.stopped, "the run is stopped")


async def test_a_worker_hears_that_it_was_ordered_something_and_not_that_others_were(
    broker: Broker, leases: Leases, pipe: Pipe, log: EventLog
) -> None:
    presence, operations = Presence(pipe, KEYS), Operations(pipe, KEYS, log)
    for name in ("w1", "w2"):
        await presence.announce(announcement(name))
    received: list[str] = []
    async with listening(broker, leases, on_order=lambda: received.append("order")):
        await operations.drain("w2", who="olga")
        await operations.drain("w1", who="olga")
        await wait_until(lambda: received, "the worker has heard")
        await operations.undrain("w1", who="olga")
        await wait_until(lambda: len(received) == 2, "the worker has heard again")


async def test_a_link_that_answers_no_ping_is_taken_anew(leases: Leases) -> None:
    """A half-open connection looks like a channel without messages."""
    async with (
        deaf_redis() as deaf,
        opened_client(RealBroker(deaf.url), connections=1) as client,
        anyio.create_task_group() as group,
    ):
        control = Control(client, KEYS, leases, worker="w1", on_order=lambda: None, ping_seconds=0.02)
        group.start_soon(control.listen, Beat())
        await wait_until(lambda: deaf.links >= 2, "the worker has tried another link")
        group.cancel_scope.cancel()


@asynccontextmanager
async def opened_ledger(broker: Broker) -> AsyncIterator[tuple[Ledger, Leases]]:
    async with opened_client(broker) as client:
        pipe = Pipe(client)
        ledger = Ledger(pipe, KEYS)
        yield ledger, Leases(ledger, EventLog(pipe, KEYS, retention_ms=60_000), lease_seconds=60)
        await pipe.aclose()


def _link(look: Look) -> str:
    return next((client["id"] for client in look.client_list() if client["sub"] == "1"), "")


def _pings(look: Look) -> int:
    return int(look.info("commandstats").get("cmdstat_ping", {}).get("calls", 0))
