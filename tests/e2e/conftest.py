from __future__ import annotations

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.e2e.asking import authorised
from tests.e2e.service import Service, started


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for all tests that neither stop nor pause any part of it."""
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
    """A client without a base URL: each request names the address of a web process."""
    with httpx.Client(headers=authorised(), timeout=30) as http:
        yield http


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Threads for requests that the service answers only after the test has done something else."""
    with ThreadPoolExecutor(20) as pool:
        yield pool


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Function) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds the output of the services to the report of a failed test."""
    report = yield
    services = [value for value in item.funcargs.values() if isinstance(value, Service)] if report.failed else []
    report.sections += [("output of the service", service.output) for service in services]
    return report
