"""Identifies the operator who uses the monitor: by a session cookie, or with `AUTH=none` as any client on this
machine."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from api.http import api_errors
from api.http.api_errors import ApiError
from api.http.auth import Credentials, LoopbackOnly, Scope
from api.monitor.session_cookie import SESSION_SECONDS, SessionCookies

COOKIE = "runrelay_monitor"
PATH = "/monitor"


@dataclass(frozen=True)
class Operator:
    name: str
    may_operate: bool  # False: may only look
    can_log_out: bool  # True: has logged in with a token


class Login(Protocol):
    def operator(self, request: Request) -> Operator:
        """The operator who sent the request. Raises ApiError 401 for a client that has to log in first, 403 for one
        that may not use the monitor at all."""
        ...

    def begin_session(self, request: Request, token: str, response: Response) -> None:
        """Logs in the browser that gets this response. Raises ApiError 401 and 403."""
        ...


def login_of(authenticator: Credentials | LoopbackOnly) -> Login:
    return (
        TokenLogin(SessionCookies(authenticator))
        if isinstance(authenticator, Credentials)
        else LoopbackLogin(authenticator)
    )


class TokenLogin:
    def __init__(self, cookies: SessionCookies) -> None:
        self._cookies = cookies

    def operator(self, request: Request) -> Operator:
        cookie, now = request.cookies.get(COOKIE, ""), int(time.time())
        try:
            name = self._cookies.credential(cookie, Scope.OPERATE, now=now)
            return Operator(name, may_operate=True, can_log_out=True)
        except ApiError as failure:
            if failure.status != 403:
                raise
        name = self._cookies.credential(cookie, Scope.MONITOR, now=now)
        return Operator(name, may_operate=False, can_log_out=True)

    def begin_session(self, request: Request, token: str, response: Response) -> None:
        cookie = self._cookies.issue(token, now=int(time.time()))
        response.set_cookie(
            COOKIE, cookie, SESSION_SECONDS, path=PATH, secure=_is_secure(request), httponly=True, samesite="strict"
        )


class LoopbackLogin:
    """Every client on this machine is an operator."""

    def __init__(self, authenticator: LoopbackOnly) -> None:
        self._authenticator = authenticator

    def operator(self, request: Request) -> Operator:
        name = self._authenticator.authenticate(request.headers, Scope.OPERATE)
        return Operator(name, may_operate=True, can_log_out=False)

    def begin_session(self, request: Request, token: str, response: Response) -> None:
        self.operator(request)


def end_session(response: Response) -> None:
    """Makes the browser delete its session cookie."""
    response.delete_cookie(COOKIE, path=PATH, httponly=True, samesite="strict")


def check_same_origin(request: Request) -> None:
    """Raises ApiError 403 for a form that a page of another site has sent.

    Browsers send the cookie with requests of this site only, but other services of the same host or domain belong to
    the same site. Every browser names the origin of a form in one of these two headers.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin", "")
    own = site == "same-origin" if site else urlsplit(origin).netloc == request.headers.get("host")
    if not own:
        raise api_errors.forbidden("This has to be sent by the monitor page itself. Open the page anew and try again.")


def is_cross_site(request: Request) -> bool:
    """Whether the client followed a link of another site, so that the browser did not send the session cookie."""
    return request.headers.get("sec-fetch-site") == "cross-site"


def _is_secure(request: Request) -> bool:
    """Whether the browser uses TLS, to this process or to a proxy in front of it. A client that forges the header only
    loses its own cookie."""
    return "https" in (request.url.scheme, request.headers.get("x-forwarded-proto", "").partition(",")[0].strip())
