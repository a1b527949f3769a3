"""One round: a service, a pool of clients, faults; then a quiet time, and the history of all of it."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random

import anyio
import psutil
from redis.asyncio import Redis

from chaos import stumbling
from chaos.clients import ClientPool
from chaos.faults import KINDS, Scheduler
from chaos.history import History
from chaos.inspection import Inspector
from chaos.service import MARK, Service, commands, running
from chaos.stored_runs import immortal_keys, read_stored_runs, waiting
from chaos.web import opened
from tests.e2e.service import SLIPS

TICK_SECONDS = 0.2
LEFT_SECONDS = 8.0  # a command that was orphaned by a kill gets 5 s between SIGTERM and SIGKILL
INSPECTION_SECONDS = 40.0  # between two, each of which holds the faults back
QUIET_SECONDS = 45.0  # the service cancels abandoned runs 10 s after Redis was last away, then 13 s after their reader


@dataclass(frozen=True)
class Round:
    seed: int
    runs: int
    folder: Path
    apis: int = 2
    workers: int = 3
    clients: int = 100  # at once
    seconds: float = 600.0  # no new client after that
    patience: float = 90.0  # a client that has no end by then is hung
    quiet: float = QUIET_SECONDS  # for runs that still go on when the last client has left
    recovery: float = 15.0  # from the last fault until every process serves
    kinds: tuple[str, ...] = KINDS
    once: bool = False  # each fault once and briskly; clients come until the last is mended, `runs` of them at least
    behaviours: tuple[str, ...] = ()  # of clients; empty for all
    agents: tuple[str, ...] = ()  # of their requests; empty for those of their behaviour
    settings: Mapping[str, str] = field(default_factory=dict)
    commands: Mapping[str, str] = field(default_factory=commands)


async def play(round: Round) -> History:
    async with running(
        round.folder, apis=round.apis, workers=round.workers, settings=round.settings, commands=round.commands
    ) as service:
        scheduler = Scheduler(service, str(round.seed), round.kinds, once=round.once)
        async with (
            opened(service.urls, Random(round.seed)) as web,
            anyio.create_task_group() as group,
        ):
            pool = ClientPool(
                web, round.seed, patience=round.patience, behaviours=round.behaviours, agents=round.agents
            )
            group.start_soon(scheduler.inject, name="faults")
            inspector = Inspector(service, pool, round.recovery)
            async with anyio.create_task_group() as beside:
                beside.start_soon(_inspect_now_and_then, inspector, scheduler)
                await _serve(pool, round, scheduler)
                beside.cancel_scope.cancel()
            scheduler.enough()
        await service.ready()
        await inspector.inspect()
        async with service.valkey.look() as look:
            still = await _quiet(service, round.quiet)
            spoilt = {fault.spoilt.run_id for fault in scheduler.done if fault.spoilt}
            history = History(
                seed=round.seed,
                requests=pool.requests,
                stored_runs=await read_stored_runs(look, spoilt=spoilt),
                notes=service.journal.notes(),
                faults=scheduler.done,
                immortal=await immortal_keys(look),
                waiting=still,
                inspected=inspector.found,
            )
            history.exits = await service.stop()
            history.slips = list(_slips(service))
            history.connections = await _connections_left(look)
        await service.valkey.end(signal.SIGTERM)
        history.processes = await _left(service.mark)
        return history


async def _inspect_now_and_then(inspector: Inspector, scheduler: Scheduler) -> None:
    while True:
        await asyncio.sleep(INSPECTION_SECONDS)
        with anyio.CancelScope(shield=True):  # an inspection that has begun is ended
            async with scheduler.held_back():
                await inspector.inspect()


async def _serve(pool: ClientPool, round: Round, scheduler: Scheduler) -> None:
    """Runs so many clients at once, until all have come or the time is over. Returns when the last has its answer."""
    numbers, end = count(), anyio.current_time() + round.seconds

    async def one_after_the_other() -> None:
        for number in numbers:
            if anyio.current_time() > end or (number >= round.runs and not scheduler.goes_on):
                return
            await pool.run_client(number)

    async with anyio.create_task_group() as clients:
        for place in range(round.clients):
            clients.start_soon(one_after_the_other, name=f"client {place}")


async def _quiet(service: Service, seconds: float) -> list[str]:
    """Waits until no run waits, runs or has a reader. Returns those that still do after so many seconds."""
    async with service.valkey.look() as look:
        with anyio.move_on_after(seconds):
            while await waiting(look):
                await asyncio.sleep(TICK_SECONDS)
        return await waiting(look)


def _slips(service: Service) -> Iterator[str]:
    for process in service.started:
        output = process.output
        for slip in (*SLIPS, "Traceback (most", "Exception in callback"):
            for found in re.finditer(re.escape(slip), output):
                told = output[max(0, found.start() - 200) : found.start() + 3_000]
                if not _was_made_to(output[found.start() :]):
                    yield f"{process.name}: {told}"
                    break


def _was_made_to(output: str) -> bool:
    """Whether the traceback with which `output` begins is that of a loop that a fault made stumble."""
    entry, *_ = re.split(r"^\d{4}-\d\d-\d\dT", output, maxsplit=1, flags=re.MULTILINE)
    return stumbling.__file__ in entry and "in _line" in entry


async def _connections_left(look: Redis) -> int:
    """Connections besides our own that Valkey has not closed LEFT_SECONDS after all processes of the service."""
    with anyio.move_on_after(LEFT_SECONDS):
        while len(await look.client_list()) > 1:
            await asyncio.sleep(TICK_SECONDS)
    return len(await look.client_list()) - 1


async def _left(mark: str) -> list[str]:
    """The processes that have not ended LEFT_SECONDS after all processes of the service."""
    with anyio.move_on_after(LEFT_SECONDS):
        while any(_marked(mark)):
            await asyncio.sleep(TICK_SECONDS)
    return [f"{process.pid} {process.name()}" for process in _marked(mark)]


def _marked(mark: str) -> Iterator[psutil.Process]:
    """The processes of this round: those of the service and all their descendants that kept the environment."""
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark and process.pid != os.getpid():
                yield process
        except psutil.Error:
            continue
