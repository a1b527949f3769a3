"""Whether the processes that are alive after the faults also serve: no process may be deaf, least of all one whose health
check says that all is well.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import anyio
import httpx
from prometheus_client.parser import text_string_to_metric_families

from chaos.clients import ClientPool
from chaos.history import Inspected
from chaos.service import Service, succeeds
from chaos.web import opened
from shared.run.clock import now_ms
from tests.e2e.process import Process

TICK_SECONDS = 0.2
FIRST_NUMBER = 800_000  # of the clients that inspect; others have lower numbers


class Inspector:
    def __init__(self, service: Service, pool: ClientPool, patience: float) -> None:
        """`patience`: how many seconds after the last fault was mended a process may need until it serves."""
        self._patience = patience
        self._service = service
        self._pool = pool
        self._numbers = iter(range(FIRST_NUMBER, 1_000_000))
        self.found: list[Inspected] = []

    async def inspect(self) -> None:
        """Has clients ask each API process until every process has served, or the time is over. No fault may happen
        meanwhile."""
        mended, before = now_ms(), await self._started()
        webs = set[str]()
        end = anyio.current_time() + self._patience
        async with anyio.create_task_group() as asking:
            while anyio.current_time() < end and not (
                len(webs) == len(self._webs) and _all_more(before, await self._started())
            ):
                for url in self._webs:
                    asking.start_soon(self._ask, url, webs, end)
                await anyio.sleep(TICK_SECONDS)
        after = await self._started()
        async with httpx.AsyncClient() as http:
            for proxy, web in self._service.webs:
                url = f"http://127.0.0.1:{proxy.target}"
                self._note(web, mended, await succeeds(http, f"{url}/healthz"), url in webs)
            for worker, old, new in zip(self._service.workers, before, after, strict=True):
                healthy = await succeeds(http, f"{worker.status_url}/healthz")
                self._note(worker, mended, healthy, new > old)

    def _note(self, process: Process, mended: int, healthy: bool, served: bool) -> None:
        if process.running:
            self.found.append(Inspected(process.name, mended, healthy, served))

    @property
    def _webs(self) -> list[str]:
        return [f"http://127.0.0.1:{proxy.target}" for proxy, _ in self._service.webs]

    async def _ask(self, url: str, webs: set[str], end: float) -> None:
        async with opened([url], Random(0)) as web:
            if await self._pool.run_probe(web, next(self._numbers)) and anyio.current_time() <= end:
                webs.add(url)

    async def _started(self) -> list[float]:
        """How many agents each worker has started; less than none for one that does not tell."""
        async with httpx.AsyncClient() as http:
            return [await _started(http, f"{worker.status_url}/metrics") for worker in self._service.workers]


def _all_more(before: Sequence[float], after: Sequence[float]) -> bool:
    return all(new > old for old, new in zip(before, after, strict=True))


async def _started(http: httpx.AsyncClient, url: str) -> float:
    try:
        text = (await http.get(url)).text
    except httpx.TransportError:
        return -1
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return sum(sample.value for sample in samples if sample.name == "runrelay_attempts_total")
