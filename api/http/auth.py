"""Who is asking, and what for: a bearer token, or nobody but this machine."""

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
    """What a credential is good for."""

    API = "api"  # runs of its own
    MONITOR = "monitor"  # looking at everything
    OPERATE = "operate"  # and changing it


class Authenticator(Protocol):
    def authenticate(self, headers: Mapping[str, str], scope: Scope = Scope.API) -> str:
        """The name of the credential that asks. `headers` are looked up in lower case. Raises Failure: 401 for an
        unknown credential, 403 for one without the scope."""
        ...


_BEARER = re.compile(r"bearer +(.+)", re.ASCII | re.IGNORECASE)
_GRANTS = {
    Scope.API: {Scope.API},
    Scope.MONITOR: {Scope.MONITOR},
    Scope.OPERATE: {Scope.MONITOR, Scope.OPERATE},
}


@dataclass(frozen=True)
class Credential:
    """A credential: its name, the hash of its token, and what it is good for."""

    name: str
    digest: bytes
    scopes: Collection[Scope]


class Credentials:
    """Bearer tokens, by scope and by the name of their credential. A token may stand in several scopes."""

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
        """The name of the credential that is meant, of those the one with the scope. Raises Failure 401 and 403."""
        # Every hash is compared every time, so that the time taken tells nothing about the tokens.
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
    """No credential: any program on this machine, in any scope, but no web page of another site. For a loopback bind
    only.

    An agent runs commands, so without this any page could run commands here. A page can post without being
    allowed to read the answer (`Origin`, `Sec-Fetch-Site`), and can give its own name this machine's address
    (`Host`).
    """

    OWNER = "anonymous"

    def authenticate(self, headers: Mapping[str, str], scope: Scope = Scope.API) -> str:
        host, origin = headers.get("host", ""), headers.get("origin")
        own = _is_loopback(f"//{host}") and (origin is None or _is_loopback(origin))
        if not own or headers.get("sec-fetch-site") == "cross-site":
            raise api_errors.forbidden("Without a token only programs on this machine are answered.")
        return self.OWNER


class LoggingAuthenticator:
    """A gate that puts who asks on all further lines of the request's log."""

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
    except ValueError:  # no URL, or no address: a name, `null`
        return False
