"""Who looks at the page: by a pass that the browser got for a token, or anybody on this machine with `AUTH=none`."""

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
from api.monitor.passes import PASS_SECONDS, Passes

COOKIE = "runrelay_monitor"
PATH = "/monitor"


@dataclass(frozen=True)
class Visitor:
    name: str
    may_operate: bool
    may_leave: bool  # came in by a token


class Door(Protocol):
    def visitor(self, request: Request) -> Visitor:
        """Raises Failure 401 for somebody who has to log in first, 403 for somebody who may not look at all."""
        ...

    def admit(self, request: Request, token: str, answer: Response) -> None:
        """Lets the browser in that gets this answer. Raises Failure 401 and 403."""
        ...


def door_of(gate: Credentials | LoopbackOnly) -> Door:
    return PassDoor(Passes(gate)) if isinstance(gate, Credentials) else OpenDoor(gate)


class PassDoor:
    def __init__(self, passes: Passes) -> None:
        self._passes = passes

    def visitor(self, request: Request) -> Visitor:
        shown, now = request.cookies.get(COOKIE, ""), int(time.time())
        try:
            return Visitor(self._passes.holder(shown, Scope.OPERATE, now=now), may_operate=True, may_leave=True)
        except ApiError as failure:
            if failure.status != 403:
                raise
        return Visitor(self._passes.holder(shown, Scope.MONITOR, now=now), may_operate=False, may_leave=True)

    def admit(self, request: Request, token: str, answer: Response) -> None:
        issued = self._passes.issue(token, now=int(time.time()))
        answer.set_cookie(
            COOKIE, issued, PASS_SECONDS, path=PATH, secure=_is_secure(request), httponly=True, samesite="strict"
        )


class OpenDoor:
    """The gate lets in whoever is on this machine."""

    def __init__(self, gate: LoopbackOnly) -> None:
        self._gate = gate

    def visitor(self, request: Request) -> Visitor:
        return Visitor(self._gate.authenticate(request.headers, Scope.OPERATE), may_operate=True, may_leave=False)

    def admit(self, request: Request, token: str, answer: Response) -> None:
        self.visitor(request)


def leave(answer: Response) -> None:
    """Has the browser forget its pass."""
    answer.delete_cookie(COOKIE, path=PATH, httponly=True, samesite="strict")


def check_own(request: Request) -> None:
    """That a form was sent from a page of this service, and not from one of another site. Raises Failure 403.

    The cookie is sent with requests of this site only, but other services of the same host or domain belong to the
    same site. Every browser says where a form comes from, in one of these two headers.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin", "")
    own = site == "same-origin" if site else urlsplit(origin).netloc == request.headers.get("host")
    if not own:
        raise api_errors.forbidden("This has to be sent by the monitor page itself. Open the page anew and try again.")


def came_from_elsewhere(request: Request) -> bool:
    """Whether a link of another site led here, so that the browser has kept the pass to itself."""
    return request.headers.get("sec-fetch-site") == "cross-site"


def _is_secure(request: Request) -> bool:
    """Whether the browser speaks TLS, to us or to what stands in front of us. A client that lies keeps its own pass
    from itself."""
    return "https" in (request.url.scheme, request.headers.get("x-forwarded-proto", "").partition(",")[0].strip())
