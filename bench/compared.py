"""The cases in which all three services do equal work. One call plays one round of a case."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bench.figures import Figures, p50, p99
from bench.load import Load, loaded
from bench.services import BenchService
from bench.work import Work

MS = 1e3


@dataclass(frozen=True)
class Case:
    """`play` plays one round. `naive`: whether the naive service plays it, too. With its ten slots and polls of half a
    second it needs long for many requests.
    """

    name: str
    title: str
    play: Callable[[BenchService], Awaitable[Figures]]
    naive: bool = True


async def _one_client(service: BenchService) -> Figures:
    """One client that sends one request after the other; each answer has 20 deltas at once."""
    load = await loaded(service, Work(20), requests=10 if service.name == "naive" else 200)
    return {**_firsts(load), **_costs(load)}


async def _many_deltas(service: BenchService) -> Figures:
    load = await loaded(service, Work(2_000), requests=10)
    deltas = 2_000 * len(load.answers)
    chunks = p50(answer.content_frames for answer in load.answers)
    return {"deltas/s": deltas / load.seconds, **_per_delta(load, deltas), "chunks per answer": chunks, **_costs(load)}


async def _many_clients(service: BenchService) -> Figures:
    """100 clients that come within a second, which is what an answer takes. `_burst` has them come at one moment."""
    load = await loaded(service, Work(50, interval=0.02), clients=100, within=1.0)
    delays = [delay * MS for delay in load.delays]
    return {
        **_firsts(load),
        "delay p50, ms": p50(delays),
        "delay p99, ms": p99(delays),
        **_per_delta(load, 50 * len(load.answers)),
        **_costs(load),
    }


async def _burst(service: BenchService) -> Figures:
    load = await loaded(service, Work(1), clients=500)
    return {"last first delta, s": max(answer.first for answer in load.answers), **_costs(load)}


async def _short_runs(service: BenchService) -> Figures:
    load = await loaded(service, Work(1), clients=50, requests=2 if service.name == "naive" else 40)
    runs = len(load.answers)
    return {"runs/s": runs / load.seconds, "runs per API CPU s": runs / load.parts["API"], **_costs(load)}


def _firsts(load: Load) -> Figures:
    firsts = [answer.first * MS for answer in load.answers]
    return {"first p50, ms": p50(firsts), "first p99, ms": p99(firsts)}


def _per_delta(load: Load, deltas: int) -> Figures:
    return {"CPU s per 100k deltas": load.cpu / deltas * 100_000}


def _costs(load: Load) -> Figures:
    runs = len(load.answers)
    return {"CPU ms per run": load.cpu / runs * MS, "CPU ms per run, of the client": load.own_cpu / runs * MS}


CASES = (
    Case("first", "1 client, 20 deltas at once, one request after the other", _one_client),
    Case("deltas", "1 client, 2,000 deltas at once", _many_deltas),
    Case("clients", "100 clients, 50 deltas each, one every 20 ms", _many_clients),
    Case("burst", "500 requests at once", _burst, naive=False),
    Case("short", "50 clients, runs of 1 delta", _short_runs),
)
