from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack

import pytest

from api.http import api_errors
from api.monitor.live_views import MOST_LOOKS, NOTICE, LiveViews, Parts, TooManyLooks
from shared.observe.supervision import Beat
from shared.run.errors import Draining, Unavailable


class Looked:
    """A page that a test can change. It counts the looks."""

    def __init__(self) -> None:
        self.count = 0
        self.parts: dict[str, str] = {"a": "1", "b": "1"}
        self.failing: Exception | None = None

    async def look(self) -> Parts:
        self.count += 1
        if self.failing is not None:
            raise self.failing
        return dict(self.parts)


async def test_any_number_of_browsers_share_one_look() -> None:
    live, seen = LiveViews(), Looked()
    async with AsyncExitStack() as stack:
        watches = [await stack.enter_async_context(live.subscribe("page", seen.look)) for _ in range(20)]
        await live.go_round()
        assert seen.count == 1
        assert [await watch.changes() for watch in watches] == [{"a": "1", "b": "1", NOTICE: ""}] * 20


async def test_a_browser_gets_what_has_changed_since_it_last_asked() -> None:
    live, seen = LiveViews(), Looked()
    async with live.subscribe("page", seen.look) as quick, live.subscribe("page", seen.look) as slow:
        await live.go_round()
        await quick.changes()
        for number in "234":
            seen.parts["b"] = number
            live_again(live)
            await live.go_round()
            assert await quick.changes() == {"b": number}
        assert await slow.changes() == {"a": "1", "b": "4", NOTICE: ""}


async def test_a_browser_waits_until_something_changes() -> None:
    live, seen = LiveViews(), Looked()
    async with live.subscribe("page", seen.look) as watch:
        await live.go_round()
        await watch.changes()
        waiting = asyncio.create_task(watch.changes())
        live_again(live)
        await live.go_round()
        seen.parts["a"] = "2"
        live_again(live)
        await live.go_round()
        assert await waiting == {"a": "2"}


async def test_there_is_no_look_without_a_browser() -> None:
    live, seen = LiveViews(), Looked()
    async with live.subscribe("page", seen.look):
        pass
    await live.go_round()
    assert seen.count == 0
    looking = asyncio.create_task(live.look_forever(Beat()))
    async with live.subscribe("page", seen.look) as watch:
        assert await watch.changes()
    assert seen.count == 1
    looking.cancel()


async def test_a_look_that_takes_long_is_taken_less_often() -> None:
    live, seen = LiveViews(), Looked()

    async def slow() -> Parts:
        time.sleep(0.02)  # noqa: ASYNC251 - the work of a look
        return await seen.look()

    async with live.subscribe("page", slow):
        await live.go_round()
        await live.go_round()
        assert seen.count == 1


@pytest.mark.parametrize(
    ("failing", "notice"),
    [(Unavailable("gone"), "Redis does not answer"), (api_errors.run_not_found("chatcmpl_1"), "No run `chatcmpl_1`.")],
)
async def test_a_look_that_fails_leaves_what_was_there_and_says_so(failing: Exception, notice: str) -> None:
    live, seen = LiveViews(), Looked()
    async with live.subscribe("page", seen.look) as watch:
        await live.go_round()
        await watch.changes()
        seen.failing = failing
        live_again(live)
        await live.go_round()
        changes = await watch.changes()
        assert changes.keys() == {NOTICE}
        assert notice in changes[NOTICE]
        seen.failing = None
        live_again(live)
        await live.go_round()
        assert await watch.changes() == {NOTICE: ""}


async def test_a_bug_of_one_page_is_for_those_who_look_at_it() -> None:
    live, seen, broken = LiveViews(), Looked(), Looked()
    broken.failing = ZeroDivisionError()
    async with live.subscribe("page", seen.look) as watch, live.subscribe("broken", broken.look) as other:
        await live.go_round()
        assert await watch.changes()
        with pytest.raises(ZeroDivisionError):
            await other.changes()


async def test_the_number_of_looks_is_bounded_and_that_of_browsers_is_not() -> None:
    live, seen = LiveViews(), Looked()
    async with AsyncExitStack() as stack:
        for number in range(MOST_LOOKS):
            await stack.enter_async_context(live.subscribe(number, seen.look))
        await stack.enter_async_context(live.subscribe(0, seen.look))
        with pytest.raises(TooManyLooks):
            await stack.enter_async_context(live.subscribe("another", seen.look))
    async with live.subscribe("another", seen.look):
        pass


async def test_all_watching_ends_with_the_process() -> None:
    live, seen = LiveViews(), Looked()
    async with live.subscribe("page", seen.look) as watch:
        await live.go_round()
        await watch.changes()
        waiting = asyncio.create_task(watch.changes())
        await asyncio.sleep(0)
        live.end()
        with pytest.raises(Draining):
            await waiting


def live_again(live: LiveViews) -> None:
    """Makes all looks due, as if time had passed."""
    for looked in live._looks.values():
        looked.due = 0.0
