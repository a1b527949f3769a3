from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from worker.agents.python.agent_loops import Loops, opened_loops


@pytest.fixture(scope="module", params=[True, False], ids=["uvloop", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    """Workers run on uvloop, whose processes and cancellations are not those of asyncio's own loop."""
    return "asyncio", {"use_uvloop": request.param}


@pytest.fixture
async def loops() -> AsyncIterator[Loops]:
    """The event loops for agents of kind `python`."""
    async with opened_loops() as loops:
        yield loops
