"""Session cookies. A browser keeps one instead of a token, and sends it with each request.

A cookie has the time at which its session ends, and a code over that time. The key of the code is the hash of the
token that the operator logged in with. So every API process can check a cookie without a shared secret or a store, no
client can make one without the token, and a cookie is worthless once the token is removed from the settings.

Not itsdangerous: with its `Signer` this code is as long. Its `TimestampSigner` refuses a time ahead of its own clock:
an API process whose clock is a second behind would send an operator who has just logged in back to the login.
"""

from __future__ import annotations

import hmac
import re

from api.http.auth import Credential, Credentials, Scope, digest_of

SESSION_SECONDS = 12 * 3600

_COOKIE = re.compile(r"([0-9]{1,12})\.([0-9a-f]{64})", re.ASCII)


class SessionCookies:
    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def issue(self, token: str, *, now: int) -> str:
        """A cookie for a token with the scope MONITOR. `now` is in s since the epoch. Raises ApiError 401, 403."""
        given = digest_of(token.encode())
        self._credentials.chosen(Scope.MONITOR, lambda known: hmac.compare_digest(known.digest, given))
        until = now + SESSION_SECONDS
        return f"{until}.{_code(given, until)}"

    def credential(self, cookie: str, scope: Scope, *, now: int) -> str:
        """The name of the credential that the cookie was issued for. Raises ApiError 401 for a cookie that is not
        valid, 403 for a credential without the scope."""
        parts = _COOKIE.fullmatch(cookie)
        until, code = (int(parts[1]), parts[2]) if parts else (0, "")

        def is_meant(known: Credential) -> bool:
            return hmac.compare_digest(_code(known.digest, until), code) and until > now

        return self._credentials.chosen(scope, is_meant)


def _code(digest: bytes, until: int) -> str:
    return hmac.digest(digest, b"runrelay monitor %d" % until, "sha256").hex()
