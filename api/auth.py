"""Who is asking: a bearer token, or nobody but this machine."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from hashlib import sha256
from hmac import compare_digest
from ipaddress import ip_address
from typing import Protocol
from urllib.parse import urlsplit

from api import failures


class Gate(Protocol):
    def authenticate(self, headers: Mapping[str, str]) -> str:
        """The name of the credential that asks. `headers` are looked up in lower case. Raises Failure."""
        ...


_BEARER = re.compile(r"bearer +(.+)", re.ASCII | re.IGNORECASE)


class Credentials:
    """Bearer tokens, by the name of their credential."""

    def __init__(self, tokens: Mapping[str, Collection[str]]) -> None:
        self._known = [(name, _digest(token.encode())) for name, some in tokens.items() for token in some]

    def authenticate(self, headers: Mapping[str, str]) -> str:
        bearer = _BEARER.fullmatch(headers.get("authorization", "").strip(" \t"))
        if bearer is None:
            raise failures.unauthorized()
        return self._owner(_digest(bearer[1].encode("latin-1")))  # the bytes the client sent

    def _owner(self, given: bytes) -> str:
        """Every hash is compared every time, so that the time taken tells nothing about the tokens."""
        owners = [name for name, known in self._known if compare_digest(known, given)]
        if not owners:
            raise failures.unauthorized()
        return owners[0]


def _digest(token: bytes) -> bytes:
    return sha256(token).digest()


class LoopbackOnly:
    """No credential: any program on this machine, but no web page of another site. For a loopback bind only.

    An agent runs commands, so without this any page could run commands here. A page can post without being
    allowed to read the answer (`Origin`, `Sec-Fetch-Site`), and can give its own name this machine's address
    (`Host`).
    """

    OWNER = "anonymous"

    def authenticate(self, headers: Mapping[str, str]) -> str:
        host, origin = headers.get("host", ""), headers.get("origin")
        own = _is_loopback(f"//{host}") and (origin is None or _is_loopback(origin))
        if not own or headers.get("sec-fetch-site") == "cross-site":
            raise failures.forbidden("Without a token only programs on this machine are answered.")
        return self.OWNER


def _is_loopback(url: str) -> bool:
    try:
        name = urlsplit(url).hostname or ""
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:  # no URL, or no address: a name, `null`
        return False
