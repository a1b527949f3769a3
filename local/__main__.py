"""`make run`: the whole service on this machine, until Ctrl-C or until one of its processes ends.

What is checked first has started nothing yet. What is started first is stopped last: the workers hand back
their runs while Redis is still there.

When this process is killed outright (SIGKILL), the API and the worker are stopped by their runner within
a second. The embedded Valkey stays; the next start in this folder ends it before it starts its own.
"""

import os
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from local.address import Address
from local.banner import banner
from local.data_folder import data_folder, local_token
from local.environment import for_processes, needs_redis, needs_token, shown_token, with_local_defaults, with_python
from local.errors import StartError
from local.preflight import check_address
from local.processes import running
from local.redis_server import embedded, external
from local.session import SessionLost, attend
from local.stop_signals import StopSignals
from local.terminal import complain, tell
from shared.local_session import FOLDER, LocalSession, noted
from shared.run.errors import SettingsError
from shared.settings import read_settings
from worker.agents.discovery import served_agents


def main() -> int:
    signals = StopSignals()
    signals.listen()
    try:
        serve(with_python(with_local_defaults(os.environ), Path(sys.executable)), signals)
    except (SettingsError, StartError, SessionLost) as error:
        complain(f"runrelay: {error}")
        return 1
    tell("runrelay: stopped")
    return 0


def serve(environment: Mapping[str, str], signals: StopSignals) -> None:
    """Returns when it was asked to stop and nothing is left of what it started."""
    settings = read_settings(environment)
    address = Address(settings.bind, settings.port)
    with ExitStack() as stack:
        folder = stack.enter_context(data_folder(FOLDER))
        check_address(settings.bind, settings.port)
        # The worker does the same, but what it says would be hard to find among the lines of the others.
        served = served_agents(settings.agents_file, required="AGENTS_FILE" in environment, environment=environment)
        token = local_token(folder / "token") if needs_token(environment) else None
        own_redis = embedded(folder / "valkey") if needs_redis(environment) else external(settings.redis_url)
        redis = stack.enter_context(own_redis)
        stack.enter_context(noted(LocalSession(url=address.url, token=token, redis_url=redis.url), folder))
        own = for_processes(environment, redis.url, token)
        processes = stack.enter_context(running(own, signals))
        greeting = banner(address.url, shown_token(environment, token), served.suggested, served.found)
        attend(processes, redis, address, signals, greeting)


if __name__ == "__main__":
    sys.exit(main())
