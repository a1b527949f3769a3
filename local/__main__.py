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
from local.environment import for_processes, needs_redis, needs_token, shown_token, with_local_defaults
from local.errors import StartError
from local.preflight import check_address
from local.processes import running
from local.redis_server import embedded, external
from local.session import SessionLost, attend
from local.stop_signals import StopSignals
from local.terminal import complain, tell
from shared.errors import SettingsError
from shared.settings import read_settings
from worker.agents.config import load_agents

FOLDER = Path(".runrelay")


def main() -> int:
    signals = StopSignals()
    signals.listen()
    try:
        serve(with_local_defaults(os.environ), signals)
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
        # The worker does the same, but its one line would be hard to find among those of the others.
        load_agents(settings.agents_file, required="AGENTS_FILE" in environment)
        token = local_token(folder / "token") if needs_token(environment) else None
        own_redis = embedded(folder / "valkey") if needs_redis(environment) else external(settings.redis_url)
        redis = stack.enter_context(own_redis)
        own = for_processes(environment, redis.url, token, Path(sys.executable))
        processes = stack.enter_context(running(own, signals))
        attend(processes, redis, address, signals, banner(address.url, shown_token(environment, token)))


if __name__ == "__main__":
    sys.exit(main())
