"""`make run`: the whole service on this machine, until Ctrl-C or until one of its processes ends.

It checks everything before it starts anything, and stops Redis last: the workers hand back their runs while Redis is
still there.

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

import anyio

from local.address import check_address, local_url, ready
from local.banner import banner
from local.data_folder import data_folder, local_token
from local.environment import local_environment, needs_token, shown_token, with_token
from local.processes import Process, running
from local.redis_server import RedisServer, embedded
from local.terminal import SessionError, show, stop_requests
from shared.local_session import FOLDER, LocalSession, noted
from shared.redis.redis_url import shown
from shared.redis.startup import answers
from shared.run.errors import RunrelayError
from shared.settings import read_settings
from worker.agents.discovery import served_agents
from worker.agents.preflight import check_agents

REMINDER_SECONDS = 15.0
LOOK_SECONDS = 0.05


def main() -> None:
    requests = stop_requests()
    try:
        serve(os.environ, requests)
    except (RunrelayError, OSError) as error:  # the machine raises the latter, when its disk is full, say
        sys.exit(f"runrelay: {error}")
    show("runrelay: stopped")


def serve(given: Mapping[str, str], requests: Sequence[int]) -> None:
    """Returns after a request to stop, when all processes that it has started have ended."""
    environment = local_environment(given, Path(sys.executable))
    settings = read_settings(environment)
    url, token, redis = local_url(settings.bind, settings.port), None, None
    with ExitStack() as stack:
        folder = stack.enter_context(data_folder(FOLDER))
        check_address(settings.bind, settings.port)
        # The worker reads the agents, too, but its complaint would be hard to find among the lines of the others.
        served = served_agents(settings.agents_file, required="AGENTS_FILE" in environment, environment=environment)
        check_agents(served.configs, environment)
        if needs_token(settings):
            token = local_token(folder / "token")
            environment = with_token(environment, token)
        if "REDIS_URL" not in environment:
            redis = stack.enter_context(embedded(folder / "valkey"))
            environment["REDIS_URL"] = redis.url
        elif not anyio.run(answers, own := environment["REDIS_URL"]):
            show(f"runrelay: {shown(own)} does not answer. Start it, or correct REDIS_URL; the service waits for it.")
        session = LocalSession(url=url, token=token, redis_url=environment["REDIS_URL"])
        stack.enter_context(noted(session, folder))
        processes = stack.enter_context(running(environment, requests))
        attend(processes, redis, url, requests, banner(url, shown_token(settings, token), served))


def attend(
    processes: Sequence[Process], redis: RedisServer | None, url: str, requests: Sequence[int], greeting: str
) -> None:
    """Shows the greeting once the service is ready. Returns at a request to stop; raises SessionError when a part of
    the service ends."""
    greeted, reminder = False, time.monotonic() + REMINDER_SECONDS
    while not requests:
        if any(process.poll() is not None for process in processes):
            raise SessionError("stopped, because one of its processes ended; its last lines are above")
        if redis is not None and redis.process.poll() is not None:
            raise SessionError(f"stopped, because the embedded Redis ended; its log: {redis.log}")
        if not greeted and (greeted := ready(url)):
            show(greeting)
        if not greeted and time.monotonic() > reminder:
            show(f"runrelay: not ready yet; {url}/readyz reports what is missing")
            reminder = math.inf
        time.sleep(LOOK_SECONDS)


if __name__ == "__main__":
    main()
