"""The environment that the processes of the Procfile are given."""

from collections.abc import Mapping
from pathlib import Path

from shared.settings import SETTINGS

# What makes the difference to a deployed service; whatever the user has set is left as it is.
DEFAULTS = {
    "HOST": "127.0.0.1",
    # The process runner kills what is left 5 s after the first process has ended: a longer drain is cut.
    "DRAIN_SECONDS": "3",
}
CREDENTIALS = ("API_TOKENS", "CLAWDBOT_GATEWAY_TOKEN", "CLAWDBOT_GATEWAY_PASSWORD")


def with_local_defaults(given: Mapping[str, str]) -> dict[str, str]:
    """The user's environment over DEFAULTS. An empty setting counts as unset, as it does for the service."""
    names = {row.name for row in SETTINGS}
    return DEFAULTS | {name: value for name, value in given.items() if name not in names or value.strip()}


def needs_redis(environment: Mapping[str, str]) -> bool:
    return "REDIS_URL" not in environment


def needs_token(environment: Mapping[str, str]) -> bool:
    """Whether nobody could be let in. `AUTH=none` is the user's word that everybody is."""
    return environment.get("AUTH") != "none" and not any(name in environment for name in CREDENTIALS)


def shown_token(environment: Mapping[str, str], token: str | None) -> str | None:
    """What the examples say: never a secret that the user has set. None when any value will do."""
    if needs_token(environment):
        return token
    return None if environment.get("AUTH") == "none" else "YOUR_TOKEN"


def with_python(environment: Mapping[str, str], python: Path) -> dict[str, str]:
    """The environment in which `python` is the one that the command lines of `web` and `worker` mean."""
    return dict(environment) | {
        "PATH": f"{python.parent}:{environment.get('PATH', '/usr/bin:/bin')}",
        "PYTHONUNBUFFERED": "1",  # their output goes through a pipe, and a log line that waits is no log line
    }


def for_processes(environment: Mapping[str, str], redis_url: str, token: str | None) -> dict[str, str]:
    """The whole environment of `web` and `worker`."""
    changes = {"REDIS_URL": redis_url}
    if token is not None:
        changes["API_TOKENS"] = f"local:{token}"
        changes["OPERATE_TOKENS"] = environment.get("OPERATE_TOKENS", f"local:{token}")  # for `runrelay`
    return dict(environment) | changes
