"""The Redis of this session: the user's own, an embedded Valkey, or a stand-in where Valkey has no wheel."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from local.errors import StartError


@dataclass(frozen=True)
class RedisServer:
    url: str
    alive: Callable[[], bool]
    log: Path | None = None  # where it says why it ended, if anywhere


def embedded(data: Path) -> AbstractContextManager[RedisServer]:
    """A server that runs until the end of the block. Imported on demand: each package may be missing."""
    try:
        from local.valkey_server import valkey_server
    except ImportError:
        return _stand_in()
    return valkey_server(data)


def _stand_in() -> AbstractContextManager[RedisServer]:
    try:
        from local.stand_in_server import stand_in_server
    except ImportError:
        raise StartError("no embedded Redis for this machine; set REDIS_URL to a Redis >= 6.2 or a Valkey") from None
    return stand_in_server()


@contextmanager
def external(url: str) -> Iterator[RedisServer]:
    """The user's own. Whether it lives is said by the service, which waits for it to come back."""
    yield RedisServer(url, alive=lambda: True)
