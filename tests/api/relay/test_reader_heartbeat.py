from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager

import anyio
import pytest

from api.relay.reader_heartbeat import ReaderHeartbeat
from shared.ledger.ledger import Ledger
from shared.ledger.reader_leases import GRACE_MS, READER_LEASE_MS, ReaderLeases
from shared.observe.supervision import Beat
from shared.redis.pipe import Pipe
from shared.run.errors import Unavailable
from shared.run.states import State
from tests.api.reading import Client
from tests.broker import KEYS, Broker, Look, looking, opened_client
from tests.runs import a_run, forget, members, running, submit
from tests.wait import wait_until

ATTENDED = KEYS.prefixes()["attended"]


@pytest.fixture
def attendance(pipe: Pipe) -> ReaderLeases:
    return ReaderLeases(pipe, KEYS)


@asynccontextmanager
async def attending(readers: ReaderHeartbeat) -> AsyncIterator[None]:
    """The heartbeat's process is alive in this block."""
    async with anyio.create_task_group() as process:
        process.start_soon(readers.attend_forever, Beat())
        yield
        process.cancel_scope.cancel()


def left_ms(look: Look, run_id: str) -> float:
    """The time until the run counts as abandoned, in ms."""
    seconds, micros = look.time()
    at = look.zscore(ATTENDED, run_id)
    assert isinstance(at, float), at
    return at - (int(seconds) * 1000 + int(micros) / 1000)


def desert(look: Look, run_id: str) -> None:
    """Makes the run abandoned, as if its last reader had been away for long enough."""
    look.zadd(ATTENDED, {run_id: 0}, xx=True)


async def test_a_run_that_ends_with_its_readers_has_a_grace_from_the_start(ledger: Ledger, broker: Broker) -> None:
    await submit(ledger, run := a_run())
    with looking(broker) as look:
        assert 0 < left_ms(look, run.run_id) <= GRACE_MS


async def test_a_run_that_goes_on_is_not_watched(ledger: Ledger, attendance: ReaderLeases, broker: Broker) -> None:
    await submit(ledger, run := a_run(foreground=False))
    async with ReaderHeartbeat(attendance).reading(Client(run.run_id), returning=True):
        pass
    with looking(broker) as look:
        assert members(look, ATTENDED) == []
    assert await attendance.abandon() == []


async def test_a_reader_puts_the_end_off(ledger: Ledger, attendance: ReaderLeases, broker: Broker) -> None:
    await submit(ledger, run := a_run())
    readers = ReaderHeartbeat(attendance)
    with looking(broker) as look:
        async with readers.reading(Client(run.run_id)), attending(readers):
            await wait_until(lambda: left_ms(look, run.run_id) > GRACE_MS, "the reader's lease was renewed")
            assert left_ms(look, run.run_id) <= READER_LEASE_MS


async def test_the_last_reader_of_a_process_leaves_the_grace(
    ledger: Ledger, attendance: ReaderLeases, broker: Broker
) -> None:
    await submit(ledger, run := a_run())
    readers = ReaderHeartbeat(attendance)
    with looking(broker) as look:
        async with readers.reading(Client(run.run_id), returning=True):
            async with readers.reading(Client(run.run_id)):
                pass
            assert left_ms(look, run.run_id) > GRACE_MS  # one reader has left, one is still there
        assert left_ms(look, run.run_id) <= GRACE_MS


async def test_a_reader_that_has_read_to_the_end_leaves_without_a_report(
    ledger: Ledger, attendance: ReaderLeases, broker: Broker
) -> None:
    """The run has ended by then, and a report would cost each run a round trip."""
    await submit(ledger, run := a_run())
    with looking(broker) as look:
        client = Client(run.run_id)
        async with ReaderHeartbeat(attendance).reading(client, returning=True):
            client.ended = True
        assert left_ms(look, run.run_id) > GRACE_MS


async def test_a_reader_at_another_process_counts(ledger: Ledger, attendance: ReaderLeases, broker: Broker) -> None:
    await submit(ledger, run := a_run())
    here, there = ReaderHeartbeat(attendance), ReaderHeartbeat(attendance)
    with looking(broker) as look:
        async with there.reading(Client(run.run_id)):
            async with here.reading(Client(run.run_id), returning=True):
                pass
            async with attending(there):
                await wait_until(lambda: left_ms(look, run.run_id) > GRACE_MS, "the other reader's lease was renewed")


async def test_a_reader_that_comes_back_renews_its_lease_at_once(
    ledger: Ledger, attendance: ReaderLeases, broker: Broker
) -> None:
    """The next heartbeat of its process may come after the end of the grace."""
    await submit(ledger, run := a_run())
    with looking(broker) as look:
        look.zadd(ATTENDED, {run.run_id: look.zscore(ATTENDED, run.run_id) - GRACE_MS + 500})  # type: ignore[operator]
        async with ReaderHeartbeat(attendance).reading(Client(run.run_id), returning=True):
            assert left_ms(look, run.run_id) > GRACE_MS


async def test_a_run_without_readers_is_asked_to_stop_once(
    ledger: Ledger, attendance: ReaderLeases, broker: Broker
) -> None:
    claim = await running(ledger)
    run_id = claim.run.run_id
    assert await attendance.abandon() == []
    with looking(broker) as look:
        desert(look, run_id)
    assert await attendance.abandon() == [run_id]
    assert await attendance.abandon() == []
    record = await ledger.record(run_id)
    assert record is not None
    assert (record.state, record.cancel) == (State.RUNNING, "disconnect")


async def test_a_run_without_readers_is_seen_again_when_redis_had_no_room_for_the_note(real_broker: Broker) -> None:
    async with opened_client(real_broker) as client, aclosing(Pipe(client)) as pipe:
        ledger, attendance = Ledger(pipe, KEYS), ReaderLeases(pipe, KEYS)
        run_id = (await running(ledger)).run.run_id
        with looking(real_broker) as look:
            desert(look, run_id)
            with full(look), pytest.raises(Unavailable):
                await attendance.abandon()
        assert await attendance.abandon() == [run_id]
        record = await ledger.record(run_id)
        assert record is not None
        assert record.cancel == "disconnect"


@contextmanager
def full(look: Look) -> Iterator[None]:
    """Redis has no memory left for writes in this block."""
    look.execute_command("CONFIG", "SET", "maxmemory", "1")
    try:
        yield
    finally:
        look.execute_command("CONFIG", "SET", "maxmemory", "0")


async def test_a_process_that_dies_takes_none_of_its_readers_along(
    ledger: Ledger, attendance: ReaderLeases, broker: Broker
) -> None:
    """There is no counter of readers that it could leave wrong: its last lease of the run ends by itself."""
    await submit(ledger, run := a_run())
    with looking(broker) as look:
        await attendance.attend([run.run_id])  # and then it dies
        assert left_ms(look, run.run_id) <= READER_LEASE_MS
        desert(look, run.run_id)
    assert await attendance.abandon() == [run.run_id]


async def test_without_redis_readers_read_on() -> None:
    class Away(ReaderLeases):
        def __init__(self) -> None:
            pass

        async def attend(self, run_ids: object) -> list[str]:
            raise Unavailable

        async def leave(self, run_id: str) -> None:
            raise Unavailable

    readers, read = ReaderHeartbeat(Away()), []
    async with attending(readers), readers.reading(Client("r"), returning=True):
        read.append("on")
    assert read == ["on"]


async def test_a_run_that_the_ledger_has_forgotten_is_told(
    ledger: Ledger, attendance: ReaderLeases, look: Look
) -> None:
    gone, kept = a_run(), a_run()
    for run in (gone, kept):
        await submit(ledger, run)
    forget(look, gone.run_id)
    told = list[str]()
    readers = ReaderHeartbeat(attendance, told.append)
    async with readers.reading(Client(gone.run_id)), readers.reading(Client(kept.run_id)):
        forget(look, gone.run_id)
        async with attending(readers):
            await wait_until(lambda: told, "the process has learned it")
    assert set(told) == {gone.run_id}
