from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.agents.model import served_model


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(scope="session")
def model() -> Iterator[str]:
    """The address of the model."""
    with served_model() as url:
        yield url
