"""Passes: what a browser keeps instead of a token, and shows with each request.

A pass is the time at which it ends, and a code over that time made with the hash of the token. So every API process
knows it without asking anybody, nobody can make one without the token, and it is worthless from the moment on at which
the token is taken from the settings.
"""

from __future__ import annotations

import hmac
import re

from api.http.auth import Credential, Credentials, Scope, digest_of

PASS_SECONDS = 12 * 3600

_PASS = re.compile(r"([0-9]{1,12})\.([0-9a-f]{64})", re.ASCII)


class Passes:
    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def issue(self, token: str, *, now: int) -> str:
        """For a token that may look. `now` is in seconds since the epoch. Raises Failure 401 and 403."""
        given = digest_of(token.encode())
        self._credentials.chosen(Scope.MONITOR, lambda known: hmac.compare_digest(known.digest, given))
        until = now + PASS_SECONDS
        return f"{until}.{_code(given, until)}"

    def holder(self, shown: str, scope: Scope, *, now: int) -> str:
        """The name of the credential behind a pass. Raises Failure 401 for none that is good, 403 without the
        scope."""
        parts = _PASS.fullmatch(shown)
        until, code = (int(parts[1]), parts[2]) if parts else (0, "")

        def is_meant(known: Credential) -> bool:
            return hmac.compare_digest(_code(known.digest, until), code) and until > now

        return self._credentials.chosen(scope, is_meant)


def _code(digest: bytes, until: int) -> str:
    return hmac.digest(digest, b"runrelay monitor %d" % until, "sha256").hex()
