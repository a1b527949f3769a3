"""Which workers are there and which agents they serve, by their own word."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal
from uuid import uuid4

from shared.events import Value
from shared.keys import WORKER_TTL_MS, Keys
from shared.lua import ledger_script
from shared.redis import Pipe, mapping
from shared.run import Policy

ANNOUNCE_SECONDS = 5.0  # a third of the time after which a silent worker counts as dead
ANY = "*"  # the agent id of a worker that serves every id


def process_name(role: str) -> str:
    """A name that no other process has, now or after a restart, and that tells an operator where to look."""
    return f"{role}-{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}"


class ServedAgent(Value):
    kind: str
    description: str = ""
    policy: Policy = Policy()


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


@dataclass(frozen=True)
class Seen:
    """An announcement and its age in ms by Redis's clock."""

    announcement: Announcement
    age_ms: int

    @property
    def live(self) -> bool:
        return self.age_ms < WORKER_TTL_MS and self.announcement.state == "serving"


class Presence:
    def __init__(self, pipe: Pipe, keys: Keys) -> None:
        self._pipe = pipe
        self._keys = keys
        self._announce, self._present = ledger_script("announce", keys), ledger_script("present", keys)

    async def announce(self, announcement: Announcement) -> None:
        """Makes or renews the worker's entry, and drops those of workers long dead."""
        text = announcement.model_dump_json(by_alias=True)
        await self._pipe.run(self._announce, args=(announcement.worker, text))

    async def workers(self) -> list[Seen]:
        """Every worker announced in the last WORKER_MEMORY_MS, dead ones too."""
        entries = mapping(await self._pipe.run(self._present))
        now = int(entries.pop("now"))
        return [_seen(entry, now) for entry in entries.values()]


def _seen(entry: str, now: int) -> Seen:
    since, _, text = entry.partition(" ")
    return Seen(Announcement.model_validate_json(text), age_ms=now - int(since))


def live_agents(workers: Iterable[Seen]) -> dict[str, ServedAgent]:
    """The agents that somebody serves now."""
    return {name: agent for seen in workers if seen.live for name, agent in seen.announcement.agents.items()}


def known_agents(workers: Iterable[Seen]) -> dict[str, ServedAgent]:
    """The agents that somebody serves or served minutes ago: a deploy may leave no worker for a moment."""
    return {name: agent for seen in workers for name, agent in seen.announcement.agents.items()}
