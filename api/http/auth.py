"""Authentication and scopes: by bearer token, or without credentials for programs on this machine only."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from hmac import compare_digest
from ipaddress import ip_address
from typing import Protocol
from urllib.parse import urlsplit

from structlog.contextvars import bind_contextvars

from api.http import api_errors


class Scope(StrEnum):
    """What a credential may do."""

    API = "api"  # start, read and cancel its own runs
    MONITOR = "monitor"  # read everything
    OPERATE = "operate"  # read and change everything


class Authenticator(Protocol):
    def authenticate(self, headers: Mapping[str, str], scope: Scope = Scope.API) -> str:
        """The name of the request's credential. `headers` are looked up in lower case. Raises ApiError 401 for an
        unknown credential and 403 for one without the scope."""
        ...


_BEARER = re.compile(r"bearer +(.+)", re.ASCII | re.IGNORECASE)
_GRANTS = {
    Scope.API: {Scope.API},
    Scope.MONITOR: {Scope.MONITOR},
    Scope.OPERATE: {Scope.MONITOR, Scope.OPERATE},
}


@dataclass(frozen=True)
class Credential:
    """A credential: its name, the hash of its token, and its scopes."""

    name: str
    digest: bytes
    scopes: Collection[Scope]


class Credentials:
    """Bearer tokens by scope and by the name of their credential. A token may be in several scopes."""

    def __init__(self, tokens: Mapping[Scope, Mapping[str, Collection[str]]]) -> None:
        self._known = [
            Credential(name, digest_of(token.encode()), _GRANTS[scope])
            for scope, names in tokens.items()
            for name, some in names.items()
            for token in some
        ]

    def authenticate(self, headers: Mapping[str, str], scope: Scope = Scope.API) -> str:
        bearer = _BEARER.fullmatch(headers.get("authorization", "").strip(" \t"))
        if bearer is None:
            raise api_errors.unauthorized()
        given = digest_of(bearer[1].encode("latin-1"))  # the bytes the client sent
        return self.chosen(scope, lambda known: compare_digest(known.digest, given))

    def chosen(self, scope: Scope, is_meant: Callable[[Credential], bool]) -> str:
        """The name of the first credential that `is_meant` accepts and that has the scope. Raises ApiError 401 when
        `is_meant` accepts none, and 403 when none of these has the scope."""
        # Compares every hash every time, so that the time taken reveals nothing about the tokens.
        owners = [known for known in self._known if is_meant(known)]
        if not owners:
            raise api_errors.unauthorized()
        for owner in owners:
            if scope in owner.scopes:
                return owner.name
        raise api_errors.scope_missing(scope)


def digest_of(token: bytes) -> bytes:
    return sha256(token).digest()


class LoopbackOnly:
    """Accepts any program on this machine without a credential, in any scope. It refuses web pages of other sites. For
    a server bound to loopback only.

    An agent runs commands, so without this check any web page could run commands here. A page may post although it may
    not read the response: `Origin` and `Sec-Fetch-Site` show that. It may also point its own host name at this
    machine's address: `Host` shows that.
    """

    OWNER = "anonymous"

    def authenticate(self, headers: Mapping[str, str], scope: Scope = Scope.API) -> str:
        host, origin = headers.get("host", ""), headers.get("origin")
        own = _is_loopback(f"//{host}") and (origin is None or _is_loopback(origin))
        if not own or headers.get("sec-fetch-site") == "cross-site":
            raise api_errors.forbidden("Without a token only programs on this machine are answered.")
        return self.OWNER


class LoggingAuthenticator:
    """An authenticator that adds the owner to all further log lines of the request."""

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator

    def authenticate(self, headers: Mapping[str, str], scope: Scope = Scope.API) -> str:
        owner = self._authenticator.authenticate(headers, scope)
        bind_contextvars(owner=owner)
        return owner


def _is_loopback(url: str) -> bool:
    try:
        name = urlsplit(url).hostname or ""
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:  # no URL, or a host name or `null` instead of an address
        return False
