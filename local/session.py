"""From the start of the processes to the moment when they have to be stopped."""

import math
import time

from local.address import Address, ready
from local.processes import Processes
from local.redis_server import RedisServer
from local.stop_signals import StopSignals
from local.terminal import tell
from shared.run.errors import RunrelayError

TICK_SECONDS = 0.05
REMINDER_SECONDS = 15.0


class SessionLost(RunrelayError):
    """What ended that should have gone on: one line for the person at the terminal."""


def attend(processes: Processes, redis: RedisServer, address: Address, signals: StopSignals, greeting: str) -> None:
    """Greet once the service is ready, return when asked to stop; SessionLost when a part of it ends."""
    reminder = time.monotonic() + REMINDER_SECONDS
    while not signals.asked:
        _check(processes, redis)
        if not processes.settled and ready(address):
            processes.settle()
            tell(greeting)
        if not processes.settled and time.monotonic() > reminder:
            tell(f"runrelay: not ready yet; {address.url}/readyz says what is missing")
            reminder = math.inf
        time.sleep(TICK_SECONDS)


def _check(processes: Processes, redis: RedisServer) -> None:
    if processes.ended():
        raise SessionLost("stopped, because one of its processes ended; what it said stands above")
    if not redis.alive():
        raise SessionLost(f"stopped, because the embedded Redis ended; its log: {redis.log}")
