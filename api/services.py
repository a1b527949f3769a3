"""Builds the services of an API process from the settings, one of each."""

from __future__ import annotations

from dataclasses import dataclass

from redis.asyncio import Redis

from api.authenticators import api_authenticator
from api.fleet.agent_directory import AgentDirectory
from api.fleet.api_metrics import ApiMetrics
from api.fleet.web_announcer import WebAnnouncer
from api.http.auth import Credentials, LoopbackOnly
from api.intake.janitor import ROUND_AT_MOST_SECONDS, Janitor
from api.intake.run_access import RunAccess
from api.intake.submission import Submission
from api.relay.hub import Hub
from api.relay.reader_heartbeat import ReaderHeartbeat
from api.relay.relay import Relay
from shared.ledger.ledger import Ledger, QueueLimits
from shared.ledger.presence import Presence
from shared.ledger.queue_depth import QueueDepth
from shared.ledger.reader_leases import ReaderLeases
from shared.ledger.run_index import RunIndex
from shared.log.event_log import EventLog
from shared.observe.loop_lag import LoopLag
from shared.observe.supervision import Loop, Supervisor
from shared.redis.keys import Keys
from shared.redis.pipe import Pipes
from shared.settings import Settings


@dataclass(frozen=True)
class Services:
    """The parts that endpoints use."""

    settings: Settings
    keys: Keys
    pipes: Pipes
    metrics: ApiMetrics
    credentials: Credentials | LoopbackOnly
    directory: AgentDirectory
    events: EventLog
    index: RunIndex
    depth: QueueDepth
    relay: Relay
    access: RunAccess
    submission: Submission
    janitor: Janitor
    supervisor: Supervisor
    loops: tuple[Loop, ...]  # the supervisor keeps them as long as the process lives


def assemble(settings: Settings, pipes: Pipes, pubsub: Redis, *, name: str, metrics: ApiMetrics) -> Services:
    keys = Keys(settings.namespace)
    limits = _queue_limits(settings)
    ledger, presence = Ledger(pipes.ledger, keys), Presence(pipes.ledger, keys)
    events = EventLog(pipes.events, keys, retention_ms=limits.retention_ms)
    leases = ReaderLeases(pipes.ledger, keys)
    hub, lag = Hub(pubsub, resting=keys.channel(name)), LoopLag(metrics.lagged)
    readers = ReaderHeartbeat(leases, gone=lambda run_id: hub.gap(keys.channel(run_id)))
    relay = Relay(hub, events, ledger, instrumentation=metrics)
    janitor = Janitor(name, ledger, events, leases, instrumentation=metrics)
    announcer = WebAnnouncer(name, presence, readers, lag)
    return Services(
        settings=settings,
        keys=keys,
        pipes=pipes,
        metrics=metrics,
        credentials=api_authenticator(settings),
        directory=AgentDirectory(presence),
        events=events,
        index=RunIndex(pipes.ledger, keys),
        depth=QueueDepth(pipes.ledger, keys),
        relay=relay,
        access=RunAccess(relay, readers, ledger, events),
        submission=Submission(relay, readers, ledger, events, limits, instrumentation=metrics),
        janitor=janitor,
        supervisor=Supervisor(metrics),
        loops=(
            Loop("hub", hub.listen),
            Loop("janitor", janitor.tidy_forever, quiet=ROUND_AT_MOST_SECONDS),
            Loop("readers", readers.attend_forever),
            Loop("lag", lag.watch_forever),
            Loop("announcements", announcer.announce_forever),
        ),
    )


def _queue_limits(settings: Settings) -> QueueLimits:
    retention_ms, queue_timeout_ms = int(settings.retention_seconds * 1000), int(settings.queue_timeout_seconds * 1000)
    return QueueLimits(retention_ms, queue_timeout_ms, settings.max_waiting_runs, settings.max_waiting_per_session)
