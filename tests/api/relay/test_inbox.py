from __future__ import annotations

import anyio
import pytest

from api.relay.inbox import CAPACITY, Inbox

NEVER = 3600.0  # seconds


def test_messages_are_taken_once_in_order() -> None:
    inbox = Inbox()
    inbox.put(b"1")
    inbox.put(b"2")
    assert inbox.take() == (False, [b"1", b"2"])
    assert inbox.take() == (False, [])


def test_a_gap_makes_what_came_before_it_worthless() -> None:
    inbox = Inbox()
    inbox.put(b"1")
    inbox.gap()
    inbox.put(b"2")
    assert inbox.take() == (True, [b"2"])
    assert inbox.take() == (False, [])


def test_a_full_inbox_drops_its_messages_and_reports_a_gap() -> None:
    inbox = Inbox()
    for number in range(CAPACITY):
        inbox.put(b"%d" % number)
    gap, messages = inbox.take()
    assert (gap, len(messages)) == (False, CAPACITY)
    for number in range(CAPACITY + 1):
        inbox.put(b"%d" % number)
    assert inbox.take() == (True, [])


def test_an_inbox_never_holds_more_than_its_capacity() -> None:
    inbox = Inbox()
    for _ in range(10 * CAPACITY):
        inbox.put(b"x")
    assert len(inbox.take()[1]) <= CAPACITY


@pytest.mark.parametrize("fill", [lambda inbox: inbox.put(b"1"), Inbox.gap, Inbox.wake], ids=["message", "gap", "wake"])
async def test_a_reader_that_waits_is_woken(fill: object) -> None:
    inbox, woken = Inbox(), False

    async def wait() -> None:
        nonlocal woken
        woken = await inbox.filled(NEVER)

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        assert not woken
        assert callable(fill)
        fill(inbox)
    assert woken


async def test_what_is_there_wakes_at_once() -> None:
    inbox = Inbox()
    inbox.put(b"1")
    assert await inbox.filled(NEVER)


async def test_patience_ends() -> None:
    inbox = Inbox()
    inbox.put(b"1")
    inbox.take()
    assert not await inbox.filled(0.001)


@pytest.mark.parametrize("use_uvloop", [False, True], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("patience", [0.0, -1.0])
def test_patience_that_is_over_already_ends_at_once(use_uvloop: bool, patience: float) -> None:
    """A busy loop may resume a reader after its patience is over. The service runs on uvloop, the tests on asyncio."""

    async def wait() -> bool:
        return await Inbox().filled(patience)

    assert not anyio.run(wait, backend_options={"use_uvloop": use_uvloop})
