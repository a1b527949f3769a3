"""The hub: one pub/sub connection for all streams of a process, with local fan-out.

Pub/sub delivers at most once. So the hub counts each new connection as a gap. It also counts a second confirmation of
a channel as a gap, because it did not receive what was published before that confirmation. One channel is always
subscribed: without any, Redis would not treat the connection as a pub/sub connection. A link that does not answer a
ping is dead; silence alone proves nothing.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import anyio
from redis.asyncio import Redis

from api.relay.inbox import Inbox
from shared.observe.supervision import Beat
from shared.redis.client import PubSubLink, open_link, redis_errors_as_unavailable
from shared.redis.outage import Outage
from shared.redis.replies import Reply
from shared.run.errors import Unavailable

PING_SECONDS = 5.0  # between pings; a link that has brought nothing in the meantime is dead
RETRY_SECONDS = 0.25
LAST_SECONDS = 0.5  # for the last reads when this process stops; half of the FAREWELL_SECONDS in api/__main__.py
CONFIRM_SECONDS = 2.0  # a Redis that takes longer to confirm a subscription is away


class Topic:
    """A channel, its readers, and whether Redis has confirmed it."""

    def __init__(self) -> None:
        self.inboxes: set[Inbox] = set()
        self.confirmed = asyncio.Event()
        self._known = False

    def confirm(self) -> None:
        """Records that Redis has confirmed the subscription.

        A second confirmation is a gap: the hub did not receive what was published before it. That includes messages
        published after the link broke and the readers had read the stream."""
        if self._known:
            self.gap()
        self._known = True
        self.confirmed.set()

    def gap(self) -> None:
        for inbox in self.inboxes:
            inbox.gap()


class Hub:
    def __init__(self, redis: Redis, *, resting: str, ping_seconds: float = PING_SECONDS) -> None:
        """`redis` is a client with one connection, used by this hub alone and without a socket timeout. `resting` is
        the channel that is always subscribed."""
        self._redis = redis
        self._resting = resting
        self._ping_seconds = ping_seconds
        self._topics: dict[str, Topic] = {}
        self._link: PubSubLink | None = None
        self._outage = Outage("hub")
        self._last = math.inf  # when reading ends, by the loop's clock
        self._lasting: set[anyio.CancelScope] = set()

    @property
    def ending(self) -> bool:
        return self._last < math.inf

    def end(self) -> None:
        """Wakes every reader because this process is about to stop. From now on `ending` is true."""
        self._last = anyio.current_time() + LAST_SECONDS
        for scope in self._lasting:
            scope.deadline = self._last
        for topic in self._topics.values():
            for inbox in topic.inboxes:
                inbox.wake()

    @contextmanager
    def lasting(self) -> Iterator[None]:
        """Cancels the block when this process has no time left, for example to wait for a response of Redis."""
        with anyio.CancelScope(deadline=self._last) as scope:
            self._lasting.add(scope)
            try:
                yield
            finally:
                self._lasting.discard(scope)

    def gap(self, channel: str) -> None:
        """Has the readers of the channel look for what they missed."""
        if topic := self._topics.get(channel):
            topic.gap()

    def readers(self, channel: str) -> int:
        """The number of this process's inboxes that are subscribed to the channel."""
        return len(self._topics[channel].inboxes) if channel in self._topics else 0

    @asynccontextmanager
    async def subscribe(self, channel: str) -> AsyncIterator[Inbox]:
        """Yields an inbox that receives every message published from now on. Raises Unavailable when Redis does not
        confirm the subscription."""
        inbox = Inbox()
        is_new = channel not in self._topics
        topic = self._topics.setdefault(channel, Topic())
        topic.inboxes.add(inbox)
        try:
            if is_new and self._link is not None:
                self._link.subscribe(channel)
            await _confirmed(topic)
            yield inbox
        finally:
            topic.inboxes.discard(inbox)
            if not topic.inboxes and self._topics.get(channel) is topic:
                del self._topics[channel]
                if self._link is not None:
                    self._link.unsubscribe(channel)

    async def listen(self, beat: Beat) -> None:
        """Follows the link forever. Opens a new link when it breaks."""
        while True:
            beat()
            try:
                with redis_errors_as_unavailable():
                    await self._listen(beat)
            except Unavailable as away:
                self._outage.failed(away)
                await beat.sleep(RETRY_SECONDS)

    async def _listen(self, beat: Beat) -> None:
        async with open_link(self._redis) as link:
            self._link = link  # set first, so a reader that arrives during the subscriptions below adds its own channel
            try:
                link.subscribe(self._resting, *self._topics)
                await link.follow(self._receive, ping_seconds=self._ping_seconds, beat=beat)
            finally:
                self._link = None
                for topic in self._topics.values():
                    topic.confirmed.clear()
                    topic.gap()

    def _receive(self, reply: Reply) -> None:
        self._outage.worked()
        match reply:
            case [b"message", bytes(channel), bytes(data)]:
                if topic := self._topics.get(channel.decode()):
                    for inbox in topic.inboxes:
                        inbox.put(data)
            case [b"subscribe", bytes(channel), _]:
                if topic := self._topics.get(channel.decode()):
                    topic.confirm()


async def _confirmed(topic: Topic) -> None:
    try:
        async with asyncio.timeout(CONFIRM_SECONDS):
            await topic.confirmed.wait()
    except TimeoutError:
        raise Unavailable("no confirmation of a subscription") from None
