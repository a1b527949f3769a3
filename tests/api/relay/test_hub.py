from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import anyio
import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from api.relay.hub import Hub
from api.relay.inbox import Inbox
from shared.observe.supervision import Beat
from shared.run.errors import Unavailable
from tests.api.links import Link, Links
from tests.broker import Broker, Look, RealBroker, Valkey, looking, opened_client
from tests.deaf import deaf_redis
from tests.wait import wait_until

RESTING = "resting"
CHANNEL = "channel"


@pytest.fixture
async def hub(broker: Broker) -> AsyncIterator[Hub]:
    async with linked(broker) as hub:
        yield hub


@asynccontextmanager
async def linked(broker: Broker) -> AsyncIterator[Hub]:
    """A hub whose link is up."""
    with looking(broker) as look:
        async with opened_client(broker, connections=1) as client, listening(client) as hub:
            await wait_until(lambda: RESTING in channels(look), "the link stands")
            yield hub


@asynccontextmanager
async def listening(client: Redis, *, ping_seconds: float = 60) -> AsyncIterator[Hub]:
    hub = Hub(client, resting=RESTING, ping_seconds=ping_seconds)
    async with anyio.create_task_group() as group:
        group.start_soon(hub.listen, Beat())
        yield hub
        group.cancel_scope.cancel()


def channels(look: Look) -> set[str]:
    return {channel.decode() for channel in look.pubsub_channels()}


def subscribers(look: Look, channel: str = CHANNEL) -> int:
    return int(dict(look.pubsub_numsub(channel))[channel.encode()])


async def next_of(inbox: Inbox) -> tuple[bool, list[bytes]]:
    assert await inbox.filled(20)
    return inbox.take()


# --- messages ---------------------------------------------------------------------------------------------------------


async def test_what_is_published_after_a_subscription_is_received(hub: Hub, look: Look) -> None:
    async with hub.subscribe(CHANNEL) as inbox:
        look.publish(CHANNEL, b"1")
        look.publish("another", b"2")
        look.publish(CHANNEL, b"3")
        received = list[bytes]()
        while len(received) < 2:
            gap, messages = await next_of(inbox)
            assert not gap
            received += messages
        assert received == [b"1", b"3"]


async def test_many_readers_of_a_channel_are_one_subscriber(hub: Hub, look: Look) -> None:
    async with hub.subscribe(CHANNEL) as first, hub.subscribe(CHANNEL) as second, hub.subscribe("other") as other:
        assert subscribers(look) == 1
        look.publish(CHANNEL, b"1")
        assert await next_of(first) == await next_of(second) == (False, [b"1"])
        assert other.take() == (False, [])


async def test_a_reader_that_takes_nothing_stalls_no_other(hub: Hub, look: Look) -> None:
    async with hub.subscribe(CHANNEL) as slow, hub.subscribe(CHANNEL) as quick:
        for number in range(1000):
            look.publish(CHANNEL, b"%d" % number)
            if number % 100 == 99:
                received = list[bytes]()
                while len(received) < 100:
                    gap, messages = await next_of(quick)
                    assert not gap
                    received += messages
                assert received[-1] == b"%d" % number
        assert slow.take()[0]  # the gap shows that it missed messages


async def test_one_reader_leaves_and_the_other_receives_on(hub: Hub, look: Look) -> None:
    async with hub.subscribe(CHANNEL) as first:
        async with hub.subscribe(CHANNEL):
            pass
        look.publish(CHANNEL, b"1")
        assert await next_of(first) == (False, [b"1"])


async def test_a_channel_can_be_left_and_entered_again_at_once(hub: Hub, look: Look) -> None:
    for number in range(30):
        async with hub.subscribe(CHANNEL) as inbox:
            look.publish(CHANNEL, b"%d" % number)
            gap, messages = await next_of(inbox)
            assert gap or messages == [b"%d" % number]


# --- nothing left behind ----------------------------------------------------------------------------------------------


async def test_readers_that_have_left_leave_nothing_behind(hub: Hub, look: Look) -> None:
    async with hub.subscribe(CHANNEL), hub.subscribe(CHANNEL), hub.subscribe("other"):
        assert channels(look) == {RESTING, CHANNEL, "other"}
    await wait_until(lambda: channels(look) == {RESTING}, "only the resting channel is subscribed")
    assert not hub._topics


async def test_a_reader_that_fails_leaves_nothing_behind(hub: Hub, look: Look) -> None:
    with pytest.raises(ZeroDivisionError):
        async with hub.subscribe(CHANNEL):
            raise ZeroDivisionError
    await wait_until(lambda: channels(look) == {RESTING}, "only the resting channel is subscribed")
    assert not hub._topics


async def test_a_reader_that_is_cancelled_leaves_nothing_behind(hub: Hub, look: Look) -> None:
    async def read() -> None:
        async with hub.subscribe(CHANNEL):
            await anyio.sleep_forever()

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(read)
        await wait_until(lambda: subscribers(look), "they have subscribed")
        group.cancel_scope.cancel()
    await wait_until(lambda: channels(look) == {RESTING}, "only the resting channel is subscribed")
    assert not hub._topics
    async with hub.subscribe(CHANNEL) as inbox:
        look.publish(CHANNEL, b"1")
        assert (await next_of(inbox))[1] == [b"1"]


class HeldLink(Link):
    """Holds a subscription to CHANNEL back until `go_on` is set. `requested` is set when the hub requests it."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on, self.requested = anyio.Event(), anyio.Event()

    async def subscribe(self, *channels: str) -> None:
        if CHANNEL in channels:
            self.requested.set()
            await self.go_on.wait()
        await super().subscribe(*channels)

    async def unsubscribe(self, channel: str) -> None:
        self.channels = [other for other in self.channels if other != channel]


class HeldLinks(Links):
    def link(self) -> Link:
        return HeldLink()


@asynccontextmanager
async def held_link() -> AsyncIterator[tuple[Hub, HeldLink]]:
    links = HeldLinks()
    async with listening(links.client) as hub:
        await wait_until(lambda: links.made and RESTING in links.made[0].channels, "the link stands")
        link = links.made[0]
        assert isinstance(link, HeldLink)
        yield hub, link


async def test_a_reader_that_leaves_before_it_has_subscribed_leaves_nothing_behind() -> None:
    async with held_link() as (hub, link), anyio.create_task_group() as group:

        async def read() -> None:
            async with hub.subscribe(CHANNEL):
                raise AssertionError("it cannot have subscribed")

        group.start_soon(read)
        await link.requested.wait()
        group.cancel_scope.cancel()
    assert not hub._topics


async def test_two_readers_that_come_at_once_both_hear() -> None:
    async with held_link() as (hub, link), anyio.create_task_group() as group:
        inboxes = list[Inbox]()

        async def read() -> None:
            async with hub.subscribe(CHANNEL) as inbox:
                inboxes.append(inbox)
                await anyio.sleep_forever()

        group.start_soon(read)
        group.start_soon(read)
        await link.requested.wait()
        await anyio.wait_all_tasks_blocked()
        assert inboxes == []
        link.go_on.set()
        await wait_until(lambda: len(inboxes) == 2, "both have subscribed")
        assert link.channels == [RESTING, CHANNEL]
        group.cancel_scope.cancel()


async def test_a_reader_that_comes_while_the_link_is_taken_is_subscribed_too() -> None:
    class Slow(Link):
        """Holds the first subscriptions back until `go_on` is set."""

        async def subscribe(self, *channels: str) -> None:
            await super().subscribe(*channels)
            if RESTING in channels:
                begun.set()
                await go_on.wait()

    class SlowLinks(Links):
        def link(self) -> Link:
            return Slow()

    begun, go_on, subscribed = anyio.Event(), anyio.Event(), anyio.Event()
    async with listening(SlowLinks().client) as hub, anyio.create_task_group() as group:

        async def read() -> None:
            async with hub.subscribe(CHANNEL):
                subscribed.set()

        await begun.wait()
        group.start_soon(read)
        await anyio.wait_all_tasks_blocked()
        go_on.set()
        await subscribed.wait()


# --- links that break -------------------------------------------------------------------------------------------------


async def test_a_link_that_was_cut_is_a_gap_for_every_reader(real_broker: Broker) -> None:
    with looking(real_broker) as look:
        async with linked(real_broker) as hub, hub.subscribe(CHANNEL) as one, hub.subscribe("other") as other:
            look.client_kill_filter(_type="pubsub")
            for inbox, channel in ((one, CHANNEL), (other, "other")):
                gap, messages = await next_of(inbox)
                assert (gap, messages) == (True, [])
                await wait_until(partial(subscribers, look, channel), "subscribed again")
            look.publish(CHANNEL, b"1")
            received = list[bytes]()
            while not received:  # the confirmation may cause another gap first
                received += (await next_of(one))[1]
            assert received == [b"1"]


async def test_a_second_confirmation_of_a_channel_is_a_gap() -> None:
    """It may belong to an earlier subscription: the channel was left and subscribed again."""
    links = Links()
    async with listening(links.client) as hub:
        await wait_until(lambda: links.made, "there is a link")
        async with hub.subscribe(CHANNEL) as inbox:
            assert inbox.take() == (False, [])
            links.made[0].confirm(CHANNEL)
            assert await next_of(inbox) == (True, [])


async def test_what_is_published_until_a_new_link_is_confirmed_is_a_gap() -> None:
    """A reader that reads the stream as soon as the link has broken finds none of it."""

    class Slow(Link):
        async def subscribe(self, *channels: str) -> None:
            if {RESTING, CHANNEL} <= set(channels):
                broken.set()
                await go_on.wait()
            await super().subscribe(*channels)

    class SlowLinks(Links):
        def link(self) -> Link:
            return Slow()

    broken, go_on, links = anyio.Event(), anyio.Event(), SlowLinks()
    async with listening(links.client) as hub:
        await wait_until(lambda: links.made, "there is a link")
        async with hub.subscribe(CHANNEL) as inbox:
            links.made[0].drop()
            await broken.wait()
            assert inbox.take() == (True, [])
            go_on.set()
            assert await next_of(inbox) == (True, [])


async def test_a_link_that_answers_no_ping_is_a_gap() -> None:
    """A half-open link looks like a silent one."""
    async with (
        deaf_redis() as deaf,
        opened_client(RealBroker(deaf.url), connections=1) as client,
        listening(client, ping_seconds=0.02) as hub,
        hub.subscribe(CHANNEL) as inbox,
    ):
        assert (await next_of(inbox))[0]
        await wait_until(lambda: deaf.links >= 2, "another link is taken")


async def test_a_silent_link_that_answers_is_kept(real_broker: Broker) -> None:
    with looking(real_broker) as look:
        async with (
            opened_client(real_broker, connections=1) as client,
            listening(client, ping_seconds=0.25) as hub,
            hub.subscribe(CHANNEL) as inbox,
        ):
            pings = _pings(look)
            await wait_until(lambda: _pings(look) >= pings + 3, "the link was pinged three times")
            look.publish(CHANNEL, b"1")
            assert await next_of(inbox) == (False, [b"1"])


def _pings(look: Look) -> int:
    return int(look.info("commandstats").get("cmdstat_ping", {}).get("calls", 0))


@pytest.mark.slow
async def test_without_a_link_no_reader_can_subscribe() -> None:
    """A reader without a confirmed subscription would wait for messages that it never gets."""
    hub = Hub(Links().client, resting=RESTING)
    with pytest.raises(Unavailable):
        async with hub.subscribe(CHANNEL):
            raise AssertionError("Redis has not confirmed the subscription")
    assert not hub._topics


async def test_readers_hear_on_when_redis_is_back(own_valkey: Valkey) -> None:
    broker = RealBroker(own_valkey.url)
    with capture_logs() as lines:
        async with linked(broker) as hub, hub.subscribe(CHANNEL) as inbox:
            own_valkey.kill()
            assert await next_of(inbox) == (True, [])
            own_valkey.start()
            with looking(broker) as look:
                await wait_until(lambda: subscribers(look), "subscribed again")
                inbox.take()
                look.publish(CHANNEL, b"1")
                assert (await next_of(inbox))[1] == [b"1"]
                async with hub.subscribe("new") as new:
                    look.publish("new", b"2")
                    assert await next_of(new) == (False, [b"2"])
    assert [one["event"] for one in lines] == ["hub.unavailable", "hub.available"]
