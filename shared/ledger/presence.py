"""Which workers and API processes are alive, and which agents the workers serve: each process announces itself."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeVar
from uuid import uuid4

from shared.ledger.ledger_script import ledger_script
from shared.redis.keys import WORKER_TTL_MS, Keys
from shared.redis.pipe import Pipe
from shared.redis.replies import mapping, text
from shared.redis.unreadable import Kind
from shared.run.events import Value
from shared.run.run import Policy

ANNOUNCE_SECONDS = 5.0  # a third of WORKER_TTL_MS, after which a silent process counts as dead
ANY = "*"  # the agent id of a worker that serves every id


def process_name(role: str) -> str:
    """A name that no other process has, now or after a restart. It shows an operator the host and the process id."""
    return f"{role}-{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}"


class ServedAgent(Value):
    kind: str
    description: str = ""
    policy: Policy = Policy()


class WorkerOrder(StrEnum):
    """What an operator has ordered a worker to do. An order holds until the next order or until the worker ends."""

    NONE = ""
    DRAIN = "drain"


class Announcement(Value):
    """What a worker announces about itself. `since_ms` is when it started, in ms since the epoch by its own clock."""

    worker: str
    host: str
    pid: int
    version: str
    state: Literal["serving", "draining", "gone"] = "serving"
    slots: int
    running: int
    since_ms: int
    agents: Mapping[str, ServedAgent]
    ordered: bool = False  # the worker drains by an operator's order, and serves again when the operator resumes it
    memory_bytes: int = 0  # of the worker's own process, without its agents


class WebAnnouncement(Value):
    """What an API process announces about itself. `since_ms` is when it started, in ms since the epoch by its own
    clock."""

    web: str
    host: str
    pid: int
    version: str
    streams: int  # readers connected now; a run with three readers counts three times
    lag_ms: float  # the longest delay of its event loop since its last announcement
    since_ms: int
    memory_bytes: int = 0


@dataclass(frozen=True)
class SeenWeb:
    """The announcement of an API process and its age in ms by Redis's clock."""

    announcement: WebAnnouncement
    age_ms: int

    @property
    def live(self) -> bool:
        return self.age_ms < WORKER_TTL_MS


@dataclass(frozen=True)
class SeenWorker:
    """The announcement of a worker and its age in ms by Redis's clock."""

    announcement: Announcement
    age_ms: int

    @property
    def heard(self) -> bool:
        return self.age_ms < WORKER_TTL_MS

    @property
    def live(self) -> bool:
        return self.heard and self.announcement.state == "serving"


Seen = TypeVar("Seen", SeenWorker, SeenWeb)


class Presence:
    def __init__(self, pipe: Pipe, keys: Keys) -> None:
        self._pipe = pipe
        self._keys = keys
        self._announce, self._present = ledger_script("announce", keys), ledger_script("present", keys)

    async def announce(self, announcement: Announcement, *, deltas: int = 0) -> WorkerOrder:
        """Writes the worker's entry, and drops entries older than WORKER_MEMORY_MS. Returns the operator's order.

        `deltas` is how many writes of text the worker's runs have made since its last announcement.
        """
        entry = announcement.model_dump_json(by_alias=True)
        order = text(await self._pipe.run(self._announce, args=("workers", announcement.worker, entry, deltas)))
        with self._pipe.unreadables.passed_over("order", announcement.worker):
            return WorkerOrder(order)
        return WorkerOrder.NONE

    async def announce_web(self, announcement: WebAnnouncement) -> None:
        """Writes the entry of an API process, and drops entries older than WORKER_MEMORY_MS. Operators give API
        processes no orders."""
        entry = announcement.model_dump_json(by_alias=True)
        await self._pipe.run(self._announce, args=("webs", announcement.web, entry, 0))

    async def workers(self) -> list[SeenWorker]:
        """Every worker that announced itself in the last WORKER_MEMORY_MS, dead ones too."""
        return await self._seen("worker", "workers", _seen_worker)

    async def webs(self) -> list[SeenWeb]:
        """Every API process that announced itself in the last WORKER_MEMORY_MS, dead ones too."""
        return await self._seen("web", "webs", _seen_web)

    async def _seen(self, kind: Kind, table: str, parse: Callable[[str, int], Seen]) -> list[Seen]:
        """What `parse` makes of each announcement in the table: of its JSON, and of its age in ms."""
        entries = mapping(await self._pipe.run(self._present, args=(table,)))
        now = int(entries.pop("now", 0))

        def seen(entry: str) -> Seen:
            since, _, json = entry.partition(" ")
            return parse(json, now - int(since))

        return self._pipe.unreadables.readable(kind, entries.items(), seen)


def _seen_worker(json: str, age_ms: int) -> SeenWorker:
    return SeenWorker(Announcement.model_validate_json(json), age_ms)


def _seen_web(json: str, age_ms: int) -> SeenWeb:
    return SeenWeb(WebAnnouncement.model_validate_json(json), age_ms)


def live_agents(workers: Iterable[SeenWorker]) -> dict[str, ServedAgent]:
    """The agents that a live worker serves, by id."""
    return {name: agent for seen in workers if seen.live for name, agent in seen.announcement.agents.items()}


def known_agents(workers: Iterable[SeenWorker]) -> dict[str, ServedAgent]:
    """The agents that a worker serves, or served in the last WORKER_MEMORY_MS, by id: a deploy may leave no worker for
    a moment."""
    return {name: agent for seen in workers for name, agent in seen.announcement.agents.items()}
