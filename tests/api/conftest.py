from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from shared.ledger.ledger import Ledger
from shared.log.event_log import EventLog
from shared.redis.pipe import Pipe
from tests.api.running import BOB, MONA, OLGA, Api, running_api
from tests.api.stage import Stage
from tests.broker import Broker


@pytest.fixture
async def stage(pipe: Pipe, ledger: Ledger, log: EventLog) -> Stage:
    """A worker that serves `main`."""
    stage = Stage(pipe, ledger, log)
    await stage.serve()
    return stage


@pytest.fixture
async def api(broker: Broker, stage: Stage) -> AsyncIterator[Api]:
    async with running_api(broker) as api:
        yield api


@pytest.fixture
async def other_api(broker: Broker, stage: Stage) -> AsyncIterator[Api]:
    """A second process of the same service."""
    async with running_api(broker, "other") as api:
        yield api


@pytest.fixture
async def alice(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    async with api.client() as client:
        yield client


@pytest.fixture
async def bob(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    """A client with another credential than Alice's."""
    async with api.client(BOB) as client:
        yield client


@pytest.fixture
async def mona(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    """A client that may read everything."""
    async with api.client(MONA) as client:
        yield client


@pytest.fixture
async def olga(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    """A client that may operate the service."""
    async with api.client(OLGA) as client:
        yield client


@pytest.fixture
async def elsewhere(other_api: Api) -> AsyncIterator[httpx.AsyncClient]:
    """Alice's client of the other process."""
    async with other_api.client() as client:
        yield client
