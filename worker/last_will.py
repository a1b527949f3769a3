"""What a guardian does when its worker is dead: it ends the worker's commands, then gives the worker's leases back."""

from __future__ import annotations

import anyio

from shared.ledger.ledger import Ledger
from shared.redis.client import open_redis
from shared.redis.keys import Keys
from shared.redis.pipe import Pipe
from shared.redis.retry import retry_until_available
from worker.agents.command.process_family import NO_GROUP, ProcessFamily, end_family

GRACE_SECONDS = 0.5  # of a command between SIGTERM and SIGKILL: clients wait for its run to be told, or to be run again
GIVE_BACK_SECONDS = 30.0  # that Redis may be away; afterwards the leases are over anyway


def execute(mark: str, leases: dict[str, str], url: str, namespace: str) -> None:
    """`leases` maps run id to token."""
    anyio.run(_execute, mark, leases, url, namespace)


async def _execute(mark: str, leases: dict[str, str], url: str, namespace: str) -> None:
    await end_family(ProcessFamily(NO_GROUP, None, mark), grace=GRACE_SECONDS)
    if leases:  # only now: no other attempt may meet these commands
        with anyio.move_on_after(GIVE_BACK_SECONDS):
            await _give_back(leases, url, namespace)


async def _give_back(leases: dict[str, str], url: str, namespace: str) -> None:
    async with open_redis(url, socket_timeout=None) as redis:
        pipe = Pipe(redis, connections=1)
        await retry_until_available(lambda: Ledger(pipe, Keys(namespace)).forfeit(leases))
        await pipe.aclose()
