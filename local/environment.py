"""The environment that the processes of the Procfile are given."""

from collections.abc import Mapping
from pathlib import Path

from shared.settings import SETTINGS

# What makes the difference to a deployed service; whatever the user has set is left as it is.
DEFAULTS = {
    "HOST": "127.0.0.1",
    "DRAIN_SECONDS": "3",  # a drain is cut after PATIENCE_SECONDS of local/processes.py
}
CREDENTIALS = ("API_TOKENS", "CLAWDBOT_GATEWAY_TOKEN", "CLAWDBOT_GATEWAY_PASSWORD")


def with_local_defaults(given: Mapping[str, str]) -> dict[str, str]:
    """The user's environment over DEFAULTS. An empty setting counts as unset, as it does for the service."""
    names = {row.name for row in SETTINGS}
    return DEFAULTS | {name: value for name, value in given.items() if name not in names or value.strip()}


def with_python(environment: Mapping[str, str], python: Path) -> dict[str, str]:
    """The environment in which `python` is the one that the command lines of `web` and `worker` mean."""
    return {
        **environment,
        "PATH": f"{python.parent}:{environment.get('PATH', '/usr/bin:/bin')}",
        "PYTHONUNBUFFERED": "1",  # their output goes through a pipe, and a log line that waits is no log line
    }


def needs_redis(environment: Mapping[str, str]) -> bool:
    return "REDIS_URL" not in environment


def needs_token(environment: Mapping[str, str]) -> bool:
    """Whether every client would be refused. With `AUTH=none` none is."""
    return environment.get("AUTH") != "none" and not any(name in environment for name in CREDENTIALS)


def shown_token(environment: Mapping[str, str], token: str | None) -> str | None:
    """What the examples say: never a secret that the user has set. None when any value will do."""
    return None if environment.get("AUTH") == "none" else token or "YOUR_TOKEN"


def for_processes(environment: Mapping[str, str], redis_url: str, token: str | None) -> dict[str, str]:
    """The whole environment of `web` and `worker`. `token` is None when the user has said who is let in."""
    if token is None:
        return {**environment, "REDIS_URL": redis_url}
    # The token may operate, unless the user has named who may: `runrelay` uses it.
    ours = f"local:{token}"
    return {"OPERATE_TOKENS": ours, **environment, "REDIS_URL": redis_url, "API_TOKENS": ours}
