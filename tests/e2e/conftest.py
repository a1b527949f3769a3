from __future__ import annotations

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.e2e.asking import authorised
from tests.e2e.service import Service, started


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """For tests that take nothing away from it."""
    with started(tmp_path_factory.mktemp("service")) as service:
        yield service


@pytest.fixture(scope="session")
def http(service: Service) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.url, headers=authorised(), timeout=30) as http:
        yield http


@pytest.fixture(scope="session")
def _pairs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with started(tmp_path_factory.mktemp("cluster"), webs=2, workers=2) as service:
        yield service


@pytest.fixture
def cluster(_pairs: Service) -> Service:
    """Two web and two worker processes on one Redis, for tests that end some of them."""
    _pairs.start(webs=2 - len(_pairs.running(_pairs.webs)), workers=2 - len(_pairs.running(_pairs.workers)))
    return _pairs


@pytest.fixture
def cluster_http() -> Iterator[httpx.Client]:
    """A client of any web process: requests name its address."""
    with httpx.Client(headers=authorised(), timeout=30) as http:
        yield http


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """For requests that are answered only after something else has happened."""
    with ThreadPoolExecutor(20) as pool:
        yield pool


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Function) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Whoever reads of a failure also reads what the service said."""
    report = yield
    services = [value for value in item.funcargs.values() if isinstance(value, Service)] if report.failed else []
    report.sections += [("what the service said", service.said) for service in services]
    return report
