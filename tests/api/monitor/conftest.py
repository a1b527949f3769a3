from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.api.monitor.browsing import browsing
from tests.api.running import MONA, Api


@pytest.fixture
async def operator(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    """A browser in which Olga has logged in. She may operate."""
    async with browsing(api) as browser:
        yield browser


@pytest.fixture
async def onlooker(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    """A browser in which Mona has logged in. She may only look."""
    async with browsing(api, MONA) as browser:
        yield browser


@pytest.fixture
async def stranger(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    async with browsing(api, None) as browser:
        yield browser
