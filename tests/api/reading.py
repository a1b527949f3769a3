"""A reader of a log that a test writes, and a client that the heartbeat counts as a reader."""

from __future__ import annotations

from dataclasses import dataclass

from redis.asyncio import Redis

from api.relay.hub import Hub
from api.relay.inbox import Inbox
from api.relay.relay import RunReader
from shared.ledger.ledger import Ledger
from shared.log.event_log import EventLog
from tests.broker import KEYS


def reader_of(run_id: str, redis: Redis, ledger: Ledger, log: EventLog) -> tuple[RunReader, Hub]:
    """A reader from the first event on, and its hub. It reads from the stream only, because the hub has no link. The
    hub can end it."""
    hub = Hub(redis, resting=KEYS.channel("rest"))
    return RunReader(run_id, Inbox(), hub, log, ledger, 0, look_seconds=0), hub


@dataclass
class Client:
    """An `api.relay.reader_heartbeat.ReadPosition`."""

    run_id: str
    ended: bool = False
