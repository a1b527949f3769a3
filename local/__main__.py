"""`make run`: the whole service on this machine, until Ctrl-C or until one of its processes ends.

What is checked first has started nothing yet. What is started first is stopped last: the workers hand back
their runs while Redis is still there.

When this process is killed outright (SIGKILL), a guardian stops the API and the worker within a second. The embedded
Valkey stays; the next start in this folder ends it before it starts its own.
"""

import math
import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from local.address import check_address, local_url, ready
from local.banner import banner
from local.data_folder import data_folder, local_token
from local.environment import for_processes, needs_redis, needs_token, shown_token, with_local_defaults, with_python
from local.processes import Process, running
from local.redis_server import RedisServer, embedded
from local.terminal import SessionError, stop_requests, tell
from shared.local_session import FOLDER, LocalSession, noted
from shared.run.errors import RunrelayError
from shared.settings import read_settings
from worker.agents.discovery import served_agents

TICK_SECONDS = 0.05
REMINDER_SECONDS = 15.0


def main() -> int:
    requests = stop_requests()
    try:
        serve(with_python(with_local_defaults(os.environ), Path(sys.executable)), requests)
    except (RunrelayError, OSError) as error:  # the latter is what the machine refuses: a full disk, say
        tell(f"runrelay: {error}", sys.stderr)
        return 1
    tell("runrelay: stopped")
    return 0


def serve(environment: Mapping[str, str], requests: Sequence[int]) -> None:
    """Returns when it was asked to stop and nothing is left of what it started."""
    settings = read_settings(environment)
    url, redis, redis_url = local_url(settings.bind, settings.port), None, settings.redis_url
    with ExitStack() as stack:
        folder = stack.enter_context(data_folder(FOLDER))
        check_address(settings.bind, settings.port)
        # The worker does the same, but what it says would be hard to find among the lines of the others.
        served = served_agents(settings.agents_file, required="AGENTS_FILE" in environment, environment=environment)
        token = local_token(folder / "token") if needs_token(environment) else None
        if needs_redis(environment):
            redis = stack.enter_context(embedded(folder / "valkey"))
            redis_url = redis.url
        stack.enter_context(noted(LocalSession(url=url, token=token, redis_url=redis_url), folder))
        processes = stack.enter_context(running(for_processes(environment, redis_url, token), requests))
        greeting = banner(url, shown_token(environment, token), served.suggested, served.found)
        attend(processes, redis, url, requests, greeting)


def attend(
    processes: Sequence[Process], redis: RedisServer | None, url: str, requests: Sequence[int], greeting: str
) -> None:
    """Greet once the service is ready, return when asked to stop; SessionError when a part of it ends."""
    greeted, reminder = False, time.monotonic() + REMINDER_SECONDS
    while not requests:
        if any(process.poll() is not None for process in processes):
            raise SessionError("stopped, because one of its processes ended; what it said stands above")
        if redis is not None and redis.process.poll() is not None:
            raise SessionError(f"stopped, because the embedded Redis ended; its log: {redis.log}")
        if not greeted and (greeted := ready(url)):
            tell(greeting)
        if not greeted and time.monotonic() > reminder:
            tell(f"runrelay: not ready yet; {url}/readyz says what is missing")
            reminder = math.inf
        time.sleep(TICK_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
