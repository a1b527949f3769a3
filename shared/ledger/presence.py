"""Which workers are there and which agents they serve, by their own word."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal
from uuid import uuid4

from shared.ledger.ledger_script import ledger_script
from shared.redis.keys import WORKER_TTL_MS, Keys
from shared.redis.pipe import Pipe
from shared.redis.replies import mapping, text
from shared.run.events import Value
from shared.run.run import Policy

ANNOUNCE_SECONDS = 5.0  # a third of the time after which a silent worker counts as dead
ANY = "*"  # the agent id of a worker that serves every id


def process_name(role: str) -> str:
    """A name that no other process has, now or after a restart, and that tells an operator where to look."""
    return f"{role}-{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}"


class ServedAgent(Value):
    kind: str
    description: str = ""
    policy: Policy = Policy()


class WorkerOrder(StrEnum):
    """What an operator told a worker, until it is told otherwise or ends."""

    NONE = ""
    DRAIN = "drain"


class Announcement(Value):
    """What a worker says of itself. `since_ms` is ms since the epoch by its own clock."""

    worker: str
    host: str
    pid: int
    version: str
    state: Literal["serving", "draining", "gone"] = "serving"
    slots: int
    running: int
    since_ms: int
    agents: Mapping[str, ServedAgent]
    ordered: bool = False  # it drains because an operator said so, and would serve again
    memory_bytes: int = 0  # of its own process, without its agents


class WebAnnouncement(Value):
    """What an API process says of itself."""

    web: str
    host: str
    pid: int
    version: str
    streams: int  # runs that clients follow now, each as often as it is followed
    lag_ms: float  # the longest that its event loop was held up since its last announcement
    since_ms: int
    memory_bytes: int = 0


@dataclass(frozen=True)
class SeenWeb:
    """The same with its age in ms by Redis's clock."""

    announcement: WebAnnouncement
    age_ms: int

    @property
    def live(self) -> bool:
        return self.age_ms < WORKER_TTL_MS


@dataclass(frozen=True)
class SeenWorker:
    """An announcement and its age in ms by Redis's clock."""

    announcement: Announcement
    age_ms: int

    @property
    def heard(self) -> bool:
        return self.age_ms < WORKER_TTL_MS

    @property
    def live(self) -> bool:
        return self.heard and self.announcement.state == "serving"


class Presence:
    def __init__(self, pipe: Pipe, keys: Keys) -> None:
        self._pipe = pipe
        self._keys = keys
        self._announce, self._present = ledger_script("announce", keys), ledger_script("present", keys)

    async def announce(self, announcement: Announcement, *, deltas: int = 0) -> WorkerOrder:
        """Makes or renews the worker's entry, and drops those of workers long dead. Answers what it was ordered.

        `deltas` is what its runs have said since it last told, as writes of text.
        """
        said = announcement.model_dump_json(by_alias=True)
        return WorkerOrder(
            text(await self._pipe.run(self._announce, args=("workers", announcement.worker, said, deltas)))
        )

    async def announce_web(self, announcement: WebAnnouncement) -> None:
        """The same for an API process, which nobody orders about."""
        said = announcement.model_dump_json(by_alias=True)
        await self._pipe.run(self._announce, args=("webs", announcement.web, said, 0))

    async def workers(self) -> list[SeenWorker]:
        """Every worker announced in the last WORKER_MEMORY_MS, dead ones too."""
        return [SeenWorker(Announcement.model_validate_json(said), age) for said, age in await self._listed("workers")]

    async def webs(self) -> list[SeenWeb]:
        """The same of API processes."""
        return [SeenWeb(WebAnnouncement.model_validate_json(said), age) for said, age in await self._listed("webs")]

    async def _listed(self, what: str) -> list[tuple[str, int]]:
        """Announcements and their ages."""
        entries = mapping(await self._pipe.run(self._present, args=(what,)))
        now = int(entries.pop("now"))
        return [(said, now - int(since)) for since, _, said in (entry.partition(" ") for entry in entries.values())]


def live_agents(workers: Iterable[SeenWorker]) -> dict[str, ServedAgent]:
    """The agents that somebody serves now."""
    return {name: agent for seen in workers if seen.live for name, agent in seen.announcement.agents.items()}


def known_agents(workers: Iterable[SeenWorker]) -> dict[str, ServedAgent]:
    """The agents that somebody serves or served minutes ago: a deploy may leave no worker for a moment."""
    return {name: agent for seen in workers for name, agent in seen.announcement.agents.items()}
