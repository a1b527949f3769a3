"""The faults, and the seeded scheduler that injects them while clients are at work.

The suite signals only processes that it started itself, by their pid. Each fault mends what it broke before it returns,
so there is at most one fault of each group at any time.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import chain, repeat
from pathlib import Path
from random import Random
from typing import cast

import anyio
from redis.exceptions import RedisError

from chaos.junk import PREFIX, spoil, write_junk
from chaos.script import Order
from chaos.service import DESCRIPTORS, KEYS, SETTINGS, WORK, WORK_BYTES, Service, mounting
from chaos.valkey import FAKETIME
from shared.redis.pipe import Pipe
from shared.redis.retry import retry_until_available
from shared.run.clock import now_ms
from shared.run.errors import Unavailable
from tests.e2e.process import ROOT, Process


@dataclass(frozen=True)
class Fault:
    """A fault, from `begun` to `mended` (ms since the epoch). `pid` is that of the process it struck, or 0."""

    kind: str
    begun: int
    mended: int
    pid: int = 0
    spoilt: Spoilt | None = None


@dataclass(frozen=True)
class Spoilt:
    """A run whose record or log got junk, and what its client had ordered."""

    run_id: str
    order: Order


class Faults:
    """One method per fault. Each returns the pid it struck, or 0, or what it spoilt."""

    def __init__(self, service: Service, seed: str, *, pace: float = 1.0) -> None:
        """`pace`: share of its usual time that a fault lasts. A fault that has to outlast a lease is not shortened."""
        self._service = service
        self._random = Random(seed)
        self._pace = pace
        self._lease = float({**SETTINGS, **service.settings}["LEASE_SECONDS"])

    async def _lasts(self, shortest: float, longest: float) -> None:
        await asyncio.sleep(self._random.uniform(shortest, longest) * self._pace)

    # --- workers ------------------------------------------------------------------------------------------------------

    async def worker_killed(self) -> int:
        worker = self._random.choice(self._service.workers)
        self._service.workers.remove(worker)
        worker.kill()
        await self._lasts(0, 1)
        await self._service.start_worker()
        return worker.pid

    async def worker_paused(self) -> int:
        worker = self._random.choice(self._service.workers)
        return await self._paused(worker, self._lease * self._random.uniform(1.2, 2.2))

    async def worker_deployed(self) -> int:
        """Starts the new worker before it stops the old one, or afterwards."""
        worker = self._random.choice(self._service.workers)
        if self._random.random() < 0.5:
            await self._service.start_worker()
            await asyncio.sleep(1)
            worker.signal(signal.SIGTERM)
        else:
            worker.signal(signal.SIGTERM)
            await self._service.start_worker()
        self._service.workers.remove(worker)
        return worker.pid

    # --- API processes ------------------------------------------------------------------------------------------------

    async def api_killed(self) -> int:
        at = self._random.randrange(len(self._service.webs))
        web = self._service.webs[at][1]
        web.kill()
        await self._service.start_web(at)
        return web.pid

    async def api_paused(self) -> int:
        web = self._random.choice(self._service.webs)[1]
        return await self._paused(web, self._random.uniform(0.5, 4) * self._pace)

    async def api_deployed(self) -> int:
        """As behind a router: the new process answers before the old one gets SIGTERM."""
        at = self._random.randrange(len(self._service.webs))
        web = self._service.webs[at][1]
        await self._service.start_web(at)
        web.signal(signal.SIGTERM)
        return web.pid

    async def _paused(self, process: Process, seconds: float) -> int:
        process.signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            process.signal(signal.SIGCONT)
        return process.pid

    # --- connections to Redis -----------------------------------------------------------------------------------------

    async def pubsub_killed(self) -> int:
        return await self._client_kill(lambda client: client["sub"] != "0" or client["cmd"] == "subscribe")

    async def bell_killed(self) -> int:
        return await self._client_kill(lambda client: client["cmd"] == "blpop")

    async def pool_killed(self) -> int:
        return await self._client_kill(
            lambda client: client["sub"] == "0" and client["cmd"] != "blpop" and self._random.random() < 0.5
        )

    async def _client_kill(self, chosen: Callable[[Mapping[str, str]], bool]) -> int:
        try:
            async with self._service.valkey.look() as look:
                for client in await look.client_list():
                    if client["cmd"] != "client|list" and chosen(client):
                        await look.client_kill_filter(_id=client["id"])
        except (RedisError, OSError):
            return 0  # Redis itself is away: a fault of another group
        return 0

    async def redis_cut(self) -> int:
        self._service.redis.cut(self._random, share=self._random.choice((0.3, 1.0)))
        return 0

    async def redis_delayed(self) -> int:
        self._service.redis.delay = self._random.uniform(0.01, 0.15)
        try:
            await self._lasts(1, 3)
        finally:
            self._service.redis.delay = 0.0
        return 0

    async def redis_stalled(self) -> int:
        """Half-open links: Redis does not answer, and the links stay open."""
        self._service.redis.stall()
        try:
            await self._lasts(0.5, 3)
        finally:
            self._service.redis.flow()
        return 0

    # --- what nobody foresaw ------------------------------------------------------------------------------------------

    async def redis_scrambled(self) -> int:
        self._service.redis.scramble(self._random)
        try:
            await self._lasts(0.5, 3)
        finally:
            self._service.redis.scramble(None)
        return 0

    async def redis_forbidden(self) -> int:
        """An administrator takes rights away from the service's user, and gives them back."""
        taken = self._random.choice(
            ("resetchannels", "-@scripting", "-@write", "-@read", "resetkeys", "-evalsha -hmget")
        )
        async with self._service.valkey.look() as look:
            pipe = Pipe(look)
            await pipe.command(*["ACL", "SETUSER", "administrator", "on", ">secret", "~*", "&*", "+@all"])
            await pipe.command("AUTH", "administrator", "secret")
            await pipe.command(*f"ACL SETUSER default {taken}".split())
            try:
                await self._lasts(0.5, 4)
            finally:
                await retry_until_available(self._allow)
        return 0

    async def _allow(self) -> None:
        async with self._service.valkey.look() as look:
            pipe = Pipe(look)
            # A Redis that was restarted meanwhile knows no administrator, and forbids nothing.
            with suppress(Unavailable):
                await pipe.command("AUTH", "administrator", "secret")
            await pipe.command(*["ACL", "SETUSER", "default", "~*", "&*", "+@all"])

    async def record_spoilt(self) -> Spoilt | int:
        """Of a run that waits or runs. Only that run may suffer from it."""
        spoilt = None
        with suppress(Unavailable, RedisError, OSError):
            async with self._service.valkey.look() as look:
                ids = [
                    *await look.zrange(KEYS.state("queued"), 0, -1),
                    *await look.zrange(KEYS.state("running"), 0, -1),
                ]
                chosen: list[str] = [run_id.decode() for run_id in ids if not run_id.startswith(PREFIX.encode())]
                if chosen:
                    run_id = self._random.choice(chosen)
                    spec = await cast("Awaitable[bytes | None]", look.hget(KEYS.run(run_id), "spec"))
                    with suppress(ValueError, TypeError, LookupError):  # an earlier fault has spoilt this one
                        spoilt = Spoilt(run_id, Order.of(json.loads(spec or b"")["message"]))
                        await spoil(look, run_id, self._random)
        return spoilt or 0

    async def redis_littered(self) -> int:
        with suppress(Unavailable, RedisError, OSError):  # Redis may be away: a fault of another group
            async with self._service.valkey.look() as look:
                for _ in range(self._random.randrange(1, 6)):
                    await write_junk(look, self._random)
        return 0

    async def odd_neighbours(self) -> int:
        """Processes of somebody else on the machine, with environments that no worker makes."""
        values = (b"9" * 5_000 + b"-1-x", b"\xff\xfe", b"", b"1-" + b"9" * 5_000, b"1-1-" + b"x" * 9_000)
        neighbours = [
            subprocess.Popen(["sleep", "60"], env={b"RUNRELAY_PROCESS": value, b"PATH": os.environb[b"PATH"]})
            for value in self._random.sample(values, 2)
        ]
        try:
            await self._lasts(1, 4)
        finally:
            for neighbour in neighbours:
                neighbour.kill()
                neighbour.wait()
        return 0

    async def loop_raises(self) -> int:
        """A loop of a process raises at a random line."""
        processes = [*self._service.workers, *(web for _, web in self._service.webs)]
        process = self._random.choice([one for one in processes if _handles(one.pid, signal.SIGUSR2)] or [None])
        if process is None:  # all of them have just been started
            return 0
        process.signal(signal.SIGUSR2)
        await self._lasts(0.5, 2)
        return process.pid

    async def descriptors_taken(self) -> int:
        """Somebody opens more connections to a process than it may have, and says nothing, or half a request."""
        worker = self._random.choice(self._service.workers)
        proxy, web = self._random.choice(self._service.webs)
        url, pid = self._random.choice(((worker.status_url, worker.pid), (f"http://127.0.0.1:{proxy.target}", web.pid)))
        port = int(url.rpartition(":")[2])
        taken = list[socket.socket]()
        try:
            for number in range(2 * DESCRIPTORS):
                with suppress(OSError):  # the process is not there: a fault of another group
                    taken.append(socket.create_connection(("127.0.0.1", port), timeout=0.2))
                    if number % 2:
                        taken[-1].sendall(b"GET /healthz HT")
                if number % 20 == 0:
                    await asyncio.sleep(0)
            await self._lasts(1, 4)
        finally:
            for one in taken:
                one.close()
        return pid

    async def disk_full(self) -> int:
        """No worker has room for the files of its commands."""
        fillers = [Path(f"/proc/{worker.pid}/root{ROOT}/{WORK}/filler") for worker in self._service.workers]
        for filler in fillers:
            with suppress(OSError):  # this is what is wanted
                filler.write_bytes(b"x" * 2 * WORK_BYTES)
        try:
            await self._lasts(1, 4)
        finally:
            for filler in fillers:
                with suppress(OSError):  # the worker is gone, and its disk with it
                    filler.unlink()
        return 0

    # --- Redis itself -------------------------------------------------------------------------------------------------

    async def redis_restarted(self) -> int:
        return await self._redis_ended(signal.SIGTERM)

    async def redis_killed(self) -> int:
        return await self._redis_ended(signal.SIGKILL)

    async def _redis_ended(self, how: signal.Signals) -> int:
        await self._service.valkey.end(how)
        await asyncio.sleep(self._random.choice((0.0, 0.5, 3.0)) * self._pace)
        await self._service.valkey.start()
        return 0

    async def redis_paused(self) -> int:
        self._service.valkey.pause()
        try:
            await self._lasts(0.5, 4)
        finally:
            self._service.valkey.resume()
        return 0

    async def clock_set(self) -> int:
        """Redis's clock is an hour off for a while."""
        self._service.valkey.set_clock(self._random.choice((-3_600, 3_600)))
        try:
            await self._lasts(0.5, 4)
        finally:
            self._service.valkey.set_clock(0)
        return 0

    async def redis_full(self) -> int:
        """Redis has no memory left and refuses every write."""
        return await self._between_commands("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0")

    async def redis_readonly(self) -> int:
        """As after a failover to another Redis, while clients still connect to the old one."""
        return await self._between_commands("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE")

    async def _between_commands(self, begin: str, mend: str) -> int:
        async with self._service.valkey.look() as look:
            pipe = Pipe(look)
            await pipe.command(*begin.split())
            try:
                await self._lasts(0.5, 4)
            finally:
                await retry_until_available(lambda: pipe.command(*mend.split()))  # another fault may have cut this link
        return 0

    # --- connections of clients ---------------------------------------------------------------------------------------

    async def api_cut(self) -> int:
        for proxy, _ in self._service.webs:
            proxy.cut(self._random, share=0.5)
        return 0

    async def api_delayed(self) -> int:
        proxy, _ = self._random.choice(self._service.webs)
        proxy.delay = self._random.uniform(0.01, 0.1)
        try:
            await self._lasts(0.5, 2)
        finally:
            proxy.delay = 0.0
        return 0

    async def api_stalled(self) -> int:
        proxy, _ = self._random.choice(self._service.webs)
        proxy.stall()
        try:
            await self._lasts(0.5, 3)
        finally:
            proxy.flow()
        return 0


def impossible() -> Iterator[str]:
    """The kinds that need something of the machine that it has not."""
    if FAKETIME is None:
        yield "clock_set"
    if not mounting():
        yield "disk_full"


def _handles(pid: int, number: signal.Signals) -> bool:
    """Whether the process has a handler for the signal by now, which would end it otherwise."""
    try:
        (mask,) = re.findall(r"^SigCgt:\s*(\w+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    except (OSError, ValueError):
        return False
    return bool(int(mask, 16) >> (number - 1) & 1)


# Faults of one group never overlap; faults of different groups do. The two numbers bound the seconds between the end of
# one fault and the begin of the next.
GROUPS: dict[str, tuple[tuple[float, float], tuple[str, ...]]] = {
    "processes": (
        (0.3, 2.0),
        ("worker_killed", "worker_paused", "worker_deployed", "api_killed", "api_paused", "api_deployed"),
    ),
    "redis": (
        (2.0, 6.0),
        (
            "redis_restarted",
            "redis_killed",
            "redis_paused",
            "redis_stalled",
            "redis_delayed",
            "redis_full",
            "redis_readonly",
            "redis_scrambled",
            "redis_forbidden",
            "clock_set",
        ),
    ),
    "records": ((0.5, 3.0), ("redis_littered", "record_spoilt")),
    "machine": ((0.5, 3.0), ("odd_neighbours", "loop_raises", "descriptors_taken", "disk_full")),
    "connections": (
        (0.2, 1.5),
        ("pubsub_killed", "bell_killed", "pool_killed", "redis_cut", "api_cut", "api_delayed", "api_stalled"),
    ),
}
KINDS = tuple(kind for _, kinds in GROUPS.values() for kind in kinds)


TICK_SECONDS = 0.05
BRISK = 0.2  # share of the usual times, for a round that has each fault only once


class Scheduler:
    """Injects faults of these kinds at random until `enough` is called. With `once`, it injects each kind once, and
    shortens the times by BRISK. `done` has the faults that are mended.
    """

    def __init__(self, service: Service, seed: str, kinds: tuple[str, ...] = KINDS, *, once: bool = False) -> None:
        self._service = service
        self._seed = seed
        self._kinds = tuple(kind for kind in kinds if kind not in set(impossible()))
        self._once = once
        self._pace = BRISK if once else 1.0
        self._enough = asyncio.Event()
        self._may_strike = asyncio.Event()
        self._may_strike.set()
        self._under_way = 0
        self.done: list[Fault] = []

    async def inject(self) -> None:
        """Returns when the last fault is mended."""
        async with anyio.create_task_group() as groups:
            for name, (pause, kinds) in GROUPS.items():
                if chosen := tuple(kind for kind in kinds if kind in self._kinds):
                    groups.start_soon(self._group, name, pause, chosen, name=f"faults of {name}")

    def enough(self) -> None:
        if not self._once:
            self._enough.set()

    @asynccontextmanager
    async def held_back(self) -> AsyncIterator[None]:
        """No fault in the block: those under way are mended before it begins."""
        self._may_strike.clear()
        try:
            while self._under_way:
                await asyncio.sleep(TICK_SECONDS)
            yield
        finally:
            self._may_strike.set()

    @property
    def goes_on(self) -> bool:
        """Whether a kind is still missing in a round that has each kind once."""
        return self._once and {fault.kind for fault in self.done} < set(self._kinds)

    async def _group(self, name: str, pause: tuple[float, float], kinds: tuple[str, ...]) -> None:
        seed = f"{self._seed}/{name}"
        random, faults = Random(seed), Faults(self._service, seed + "/how", pace=self._pace)
        for kind in self._order(kinds, random):
            with anyio.move_on_after(random.uniform(*pause) * self._pace):
                await self._enough.wait()
                return
            await self._may_strike.wait()
            self._under_way += 1
            try:
                await self._inject(kind, getattr(faults, kind))
            finally:
                self._under_way -= 1

    def _order(self, kinds: tuple[str, ...], random: Random) -> Iterator[str]:
        """Each kind once before the first comes again, so that a short round has as many kinds as it can."""
        rounds = repeat(kinds, 1) if self._once else repeat(kinds)
        return chain.from_iterable(random.sample(kinds, len(kinds)) for kinds in rounds)

    async def _inject(self, kind: str, strike: Callable[[], Awaitable[int | Spoilt]]) -> None:
        begun = now_ms()
        struck = await strike()
        pid, spoilt = (struck, None) if isinstance(struck, int) else (0, struck)
        self.done.append(Fault(kind, begun, now_ms(), pid, spoilt))
