"""Who is looking at the page: the operator whose session a cookie shows, or any client on this machine with
`AUTH=none`."""

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
    may_operate: bool  # and not only look
    can_log_out: bool  # has logged in with a token


class Login(Protocol):
    def operator(self, request: Request) -> Operator:
        """Who sent the request. Raises Failure 401 for a client that has to log in first, 403 for one that may not
        look at all."""
        ...

    def begin_session(self, request: Request, token: str, answer: Response) -> None:
        """Logs the browser in that gets this answer. Raises Failure 401 and 403."""
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

    def begin_session(self, request: Request, token: str, answer: Response) -> None:
        cookie = self._cookies.issue(token, now=int(time.time()))
        answer.set_cookie(
            COOKIE, cookie, SESSION_SECONDS, path=PATH, secure=_is_secure(request), httponly=True, samesite="strict"
        )


class LoopbackLogin:
    """Every client that the gate lets in is an operator: those on this machine."""

    def __init__(self, authenticator: LoopbackOnly) -> None:
        self._authenticator = authenticator

    def operator(self, request: Request) -> Operator:
        name = self._authenticator.authenticate(request.headers, Scope.OPERATE)
        return Operator(name, may_operate=True, can_log_out=False)

    def begin_session(self, request: Request, token: str, answer: Response) -> None:
        self.operator(request)


def end_session(answer: Response) -> None:
    """Has the browser forget its session cookie."""
    answer.delete_cookie(COOKIE, path=PATH, httponly=True, samesite="strict")


def check_same_origin(request: Request) -> None:
    """That a form was sent from a page of this service, and not from one of another site. Raises Failure 403.

    The cookie is sent with requests of this site only, but other services of the same host or domain belong to the
    same site. Every browser says where a form comes from, in one of these two headers.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin", "")
    own = site == "same-origin" if site else urlsplit(origin).netloc == request.headers.get("host")
    if not own:
        raise api_errors.forbidden("This has to be sent by the monitor page itself. Open the page anew and try again.")


def is_cross_site(request: Request) -> bool:
    """Whether a link of another site led here, so that the browser did not send the session cookie."""
    return request.headers.get("sec-fetch-site") == "cross-site"


def _is_secure(request: Request) -> bool:
    """Whether the browser speaks TLS, to us or to what stands in front of us. A client that lies keeps its own cookie
    from itself."""
    return "https" in (request.url.scheme, request.headers.get("x-forwarded-proto", "").partition(",")[0].strip())
