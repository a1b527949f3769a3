"""The environment of the API and the worker: the user's, and what suits a service on one machine."""

import os
from collections.abc import Mapping
from pathlib import Path

from shared.settings import SETTINGS, Settings


def local_environment(given: Mapping[str, str], python: Path) -> dict[str, str]:
    """The Procfile's `python` is the given one. An empty setting counts as unset, as it does for the service."""
    names = {row.name for row in SETTINGS}
    return {
        "HOST": "127.0.0.1",
        "DRAIN_SECONDS": "3",  # less than PATIENCE_SECONDS of local/processes.py
        **{name: value for name, value in given.items() if name not in names or value.strip()},
        "PATH": f"{python.parent}:{given.get('PATH', os.defpath)}",
        "PYTHONUNBUFFERED": "1",  # the output goes through a pipe, and Python would hold back its log lines
    }


def needs_token(settings: Settings) -> bool:
    """Whether the API would refuse every client."""
    return settings.auth == "token" and not settings.credentials


def shown_token(settings: Settings, token: str | None) -> str | None:
    """The token of the banner: never a secret that the user has set. None when the API accepts any value."""
    return None if settings.auth == "none" else token or "YOUR_TOKEN"


def with_token(environment: Mapping[str, str], token: str) -> dict[str, str]:
    """The token may also operate, because `runrelay` uses it, unless the user has named operators."""
    credential = f"local:{token}"
    return {"OPERATE_TOKENS": credential, **environment, "API_TOKENS": credential}
