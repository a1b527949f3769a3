"""Makes the authenticators that guard the endpoints, from the settings."""

from __future__ import annotations

from collections.abc import Mapping

from api.http.auth import Authenticator, Credentials, LoopbackOnly, Scope
from shared.settings import Settings


def api_authenticator(settings: Settings) -> Credentials | LoopbackOnly:
    """The authenticator of all endpoints except the metrics."""
    if settings.auth == "none":
        return LoopbackOnly()
    monitor, operate = _named(settings.monitor_tokens), _named(settings.operate_tokens)
    return Credentials({Scope.API: settings.credentials, Scope.MONITOR: monitor, Scope.OPERATE: operate})


def metrics_authenticator(settings: Settings) -> Authenticator:
    """The authenticator of the metrics. It accepts the credentials of the monitor and of operators, and the
    scraper's, whose token opens nothing else."""
    if settings.auth == "none":
        return LoopbackOnly()
    scraper = {"metrics": {settings.metrics_token}} if settings.metrics_token else {}
    monitor, operate = _named(settings.monitor_tokens) | scraper, _named(settings.operate_tokens)
    return Credentials({Scope.MONITOR: monitor, Scope.OPERATE: operate})


def _named(tokens: Mapping[str, str]) -> dict[str, set[str]]:
    return {name: {token} for name, token in tokens.items()}
