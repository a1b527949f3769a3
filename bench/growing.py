"""How runrelay behaves as streams, clients and processes grow in number, and which part of it saturates first."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from bench.figures import Figures, p50, p99
from bench.load import Load, loaded
from bench.services import RUNRELAY, running
from bench.work import Work

MS = 1e3

CORES = "cores: {part}"
PER_RUN = "CPU ms per run: {part}"
PARTS = ("API", "workers", "Redis", "client")


@dataclass(frozen=True)
class Growth:
    """`play` yields, for each step, the number that has grown and the figures at that number."""

    name: str
    title: str
    play: Callable[[Path], AsyncIterator[tuple[str, Figures]]]


async def _streams(folder: Path) -> AsyncIterator[tuple[str, Figures]]:
    """More and more streams, each with 20 deltas/s for 5 s."""
    async with running("runrelay", RUNRELAY, folder) as service:
        await loaded(service, Work(1), clients=50, requests=4)
        for streams in (100, 200, 400, 600, 800, 1_000):
            load = await loaded(service, Work(100, interval=0.05), clients=streams, within=1.0)
            yield (
                f"{streams:,}",
                {
                    "delay p50, ms": p50(load.delays) * MS,
                    "delay p99, ms": p99(load.delays) * MS,
                    "the slowest stream's delay p50, ms": max(p50(answer.delays) for answer in load.answers) * MS,
                    "deltas/s": 100 * streams / load.seconds,
                    **_cores(load),
                },
            )


async def _clients(folder: Path) -> AsyncIterator[tuple[str, Figures]]:
    """More and more clients. Each sends requests for runs of one delta, one after the other."""
    async with running("runrelay", RUNRELAY, folder) as service:
        await loaded(service, Work(1), clients=50, requests=4)
        for clients in (1, 5, 20, 80, 320):
            load = await loaded(service, Work(1), clients=clients, requests=960 // clients)
            runs = len(load.answers)
            parts = {PER_RUN.format(part=part): cpu / runs * MS for part, cpu in _parts(load).items()}
            yield f"{clients}", {"runs/s": runs / load.seconds, "CPU ms per run": load.cpu / runs * MS, **parts}


async def _processes(folder: Path) -> AsyncIterator[tuple[str, Figures]]:
    for webs, workers in ((1, 1), (1, 2), (1, 4), (2, 1), (2, 2), (2, 4)):
        async with running("runrelay", RUNRELAY, folder / f"{webs}-{workers}", webs=webs, workers=workers) as service:
            await loaded(service, Work(1), clients=50, requests=4)
            short = await loaded(service, Work(1), clients=50, requests=16)
            long = await loaded(service, Work(2_000), clients=10, requests=2)
        yield (
            f"{webs} API, {workers} worker{'s' * (workers > 1)}",
            {
                "runs/s": len(short.answers) / short.seconds,
                "CPU ms per run": short.cpu / len(short.answers) * MS,
                "deltas/s": 2_000 * len(long.answers) / long.seconds,
                **_cores(short),
            },
        )


def _cores(load: Load) -> Figures:
    """How busy each part was, in cores. A part of one process cannot use more than 1."""
    return {CORES.format(part=part): cpu / load.seconds for part, cpu in _parts(load).items()}


def _parts(load: Load) -> Figures:
    return {**load.parts, "client": load.own_cpu}


GROWTHS = (
    Growth("busy", "Streams at 20 deltas/s each", _streams),
    Growth("load", "Clients with runs of 1 delta", _clients),
    Growth("scaling", "More processes on the same cores", _processes),
)
