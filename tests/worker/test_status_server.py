from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import httpx
import pytest
from prometheus_client import CollectorRegistry

from shared.bind import bind
from shared.observe.process_metrics import ProcessMetrics
from shared.run.errors import SettingsError
from shared.settings import Settings
from tests.wait import wait_until
from worker.status_server import StatusServer, status_sockets


@asynccontextmanager
async def running(token: str, port: int) -> AsyncIterator[httpx.AsyncClient]:
    registry = CollectorRegistry()
    ProcessMetrics(registry)
    async with anyio.create_task_group() as group, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        group.start_soon(
            StatusServer(registry, token=token, stalled=list).serve, bind("127.0.0.1", "METRICS_PORT", port)
        )

        async def answers() -> bool:
            try:
                return (await client.get("/healthz")).is_success
            except httpx.TransportError:
                return False

        await wait_until(answers, "it listens")
        yield client
        group.cancel_scope.cancel()


async def test_a_worker_shows_what_it_measures(unused_port: int) -> None:
    async with running("", unused_port) as client:
        answer = await client.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain")
        assert "runrelay_build_info" in answer.text
        assert (await client.get("/v1/models")).status_code == 404


@pytest.mark.parametrize("authorization", ["", "Bearer wrong", "Basic right", "right", "Bearer rïght"])
async def test_without_its_token_nobody_reads_it(unused_port: int, authorization: str) -> None:
    async with running("right", unused_port) as client:
        headers = {b"Authorization": authorization.encode("latin-1")}
        assert (await client.get("/metrics", headers=headers)).status_code == 401
        assert (await client.get("/metrics", headers={"Authorization": "bearer right"})).is_success
        assert (await client.get("/healthz")).is_success, "a probe has no token"


async def test_signals_stay_the_workers(unused_port: int) -> None:
    before = signal.getsignal(signal.SIGTERM)
    async with running("", unused_port):
        assert signal.getsignal(signal.SIGTERM) == before


async def test_its_port_is_free_afterwards(unused_port: int) -> None:
    async with running("", unused_port):
        pass
    (free,) = bind("127.0.0.1", "METRICS_PORT", unused_port)
    free.close()


def test_no_port_no_server() -> None:
    assert status_sockets(Settings()) == []


def test_numbers_for_everybody_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"^METRICS_PORT=9100: .*Set METRICS_TOKEN, or HOST=127\.0\.0\.1\.$"):
        status_sockets(Settings(metrics_port=9100))


@pytest.mark.parametrize("settings", [{"metrics_token": "t"}, {"host": "127.0.0.1"}, {"auth": "none"}])
def test_a_token_or_a_loopback_address_is_enough(settings: dict[str, str], unused_port: int) -> None:
    (bound,) = status_sockets(Settings.model_validate({"metrics_port": unused_port, **settings}))
    bound.close()


async def test_a_worker_whose_loop_does_not_go_on_is_not_alive(unused_port: int) -> None:
    stalled = list[str]()
    registry = CollectorRegistry()
    async with anyio.create_task_group() as group, httpx.AsyncClient() as client:
        server = StatusServer(registry, token="", stalled=lambda: stalled)
        group.start_soon(server.serve, bind("127.0.0.1", "METRICS_PORT", unused_port))

        async def answers(status: int) -> bool:
            try:
                answer = await client.get(f"http://127.0.0.1:{unused_port}/healthz")
            except httpx.TransportError:
                return False
            return answer.status_code == status

        await wait_until(lambda: answers(200), "it is alive")
        stalled.append("leases")
        await wait_until(lambda: answers(503), "it says that it is not")
        group.cancel_scope.cancel()
