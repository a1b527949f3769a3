"""The clients of the benchmark. They make their requests before the clock runs, and parse the answers afterwards."""

from __future__ import annotations

import asyncio
import gc
import resource
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle

from bench.exchange import Answer, Connection, Exchange, read, request
from bench.services import TOKEN, BenchService
from bench.work import Work


@dataclass(frozen=True)
class Load:
    answers: list[Answer]
    seconds: float  # from the first request to the last answer
    parts: Mapping[str, float]  # CPU s of each part of the service
    own_cpu: float  # CPU s of the clients

    @property
    def cpu(self) -> float:
        return sum(self.parts.values())

    @property
    def delays(self) -> list[float]:
        return [delay for answer in self.answers for delay in answer.delays]


async def loaded(
    service: BenchService, work: Work, *, clients: int = 1, requests: int = 1, within: float = 0.0
) -> Load:
    """Loads the service with `clients` clients, each of which sends `requests` requests one after the other. The
    clients come evenly within `within` seconds; with 0 all at once. Raises ValueError for a wrong answer.
    """
    connections = await connected(service.ports, clients)
    requested = [
        [(request(port, work, token=TOKEN), Exchange(work)) for _ in range(requests)]
        for _, port in zip(range(clients), cycle(service.ports), strict=False)
    ]
    with undisturbed():
        parts, own_cpu, begun = service.parts(), time.process_time(), time.monotonic()
        comes = (within * number / clients for number in range(clients))
        await asyncio.gather(*map(_ask, comes, connections, requested))
        seconds, own_cpu = time.monotonic() - begun, time.process_time() - own_cpu
        parts = {part: cpu - parts[part] for part, cpu in service.parts().items()}
    for connection in connections:
        connection.close()
    return Load([read(exchange) for mine in requested for _, exchange in mine], seconds, parts, own_cpu)


async def _ask(comes: float, connection: Connection, requested: list[tuple[bytes, Exchange]]) -> None:
    if comes:
        await asyncio.sleep(comes)
    for raw, exchange in requested:
        await connection.ask(raw, exchange)


async def connected(ports: Sequence[int], count: int, *, pace: float | None = None) -> list[Connection]:
    """So many connections, spread over the ports."""
    loop = asyncio.get_running_loop()
    made = []
    for _, port in zip(range(count), cycle(ports), strict=False):
        _, connection = await loop.create_connection(lambda: Connection(pace=pace), "127.0.0.1", port)
        made.append(connection)
    return made


@contextmanager
def undisturbed() -> Iterator[None]:
    """Turns the garbage collector off, which would traverse everything that has arrived."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def allow_many_files() -> int:
    """Raises the limit of open files of this process and of the processes it will start to the most that is allowed.
    Returns the limit.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
