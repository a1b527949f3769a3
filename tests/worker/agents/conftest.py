from __future__ import annotations

import pytest


@pytest.fixture(scope="module", params=[True, False], ids=["uvloop", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    """Workers run on uvloop, whose processes and cancellations are not those of asyncio's own loop."""
    return "asyncio", {"use_uvloop": request.param}
