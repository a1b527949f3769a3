"""`python -m worker.agents`: looks whether the agents of this environment could be served, without serving them.

Prints one line: how many agents there are, or the first mistake, with which it exits with 1.
"""

from __future__ import annotations

import os
import sys

from shared.run.errors import SettingsError
from shared.settings import read_settings
from worker.agents.discovery import served_agents
from worker.agents.preflight import check_agents


def main() -> None:
    try:
        settings = read_settings(os.environ)
        required = "AGENTS_FILE" in os.environ
        served = served_agents(settings.agents_file, required=required, environment=os.environ)
        check_agents(served.configs, os.environ)
    except SettingsError as wrong:
        sys.exit(str(wrong))
    print(f"{len(served.configs)} agents")


if __name__ == "__main__":
    main()
