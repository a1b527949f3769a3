from __future__ import annotations

import pytest
from starlette.requests import Request
from starlette.responses import Response

from api.http.api_errors import ApiError
from api.http.auth import Credentials, LoopbackOnly, Scope
from api.monitor.door import COOKIE, Visitor, came_from_elsewhere, check_own, door_of, leave

TOKENS = Credentials({Scope.MONITOR: {"mona": {"looks"}}, Scope.OPERATE: {"olga": {"acts"}}})


def request(scheme: str = "http", /, **headers: str) -> Request:
    given = {"host": "relay.example:8000", **{name.replace("_", "-"): value for name, value in headers.items()}}
    raw = [(name.encode(), value.encode()) for name, value in given.items()]
    return Request(
        {"type": "http", "scheme": scheme, "method": "POST", "path": "/", "headers": raw, "query_string": b""}
    )


def admitted(token: str, asked: Request) -> str:
    """The cookie's line."""
    answer = Response()
    door_of(TOKENS).admit(asked, token, answer)
    return answer.headers["set-cookie"]


def cookie_of(line: str) -> str:
    return line.partition(";")[0]


@pytest.mark.parametrize(
    ("token", "visitor"), [("looks", Visitor("mona", False, True)), ("acts", Visitor("olga", True, True))]
)
def test_a_token_lets_its_browser_in(token: str, visitor: Visitor) -> None:
    cookie = cookie_of(admitted(token, request()))
    assert door_of(TOKENS).visitor(request(cookie=cookie)) == visitor


@pytest.mark.parametrize("cookie", ["", f"{COOKIE}=", f"{COOKIE}=1.2", "other=1"])
def test_without_a_pass_one_has_to_log_in(cookie: str) -> None:
    with pytest.raises(ApiError) as refusal:
        door_of(TOKENS).visitor(request(cookie=cookie))
    assert refusal.value.status == 401


def test_the_cookie_is_for_these_pages_alone_and_out_of_reach_of_scripts() -> None:
    line = admitted("looks", request())
    for word in ("HttpOnly", "SameSite=strict", "Path=/monitor"):
        assert word in line
    assert "Secure" not in line


@pytest.mark.parametrize(
    "asked", [request("https"), request(x_forwarded_proto="https"), request(x_forwarded_proto="https, http")]
)
def test_over_tls_the_cookie_stays_on_tls(asked: Request) -> None:
    assert "Secure" in admitted("looks", asked)


def test_leaving_forgets_the_cookie() -> None:
    answer = Response()
    leave(answer)
    assert answer.headers["set-cookie"].startswith(f'{COOKIE}="";')


def test_without_authentication_this_machine_may_do_everything() -> None:
    door = door_of(LoopbackOnly())
    here = request(host="127.0.0.1:8000")
    assert door.visitor(here) == Visitor("anonymous", may_operate=True, may_leave=False)
    answer = Response()
    door.admit(here, "", answer)
    assert "set-cookie" not in answer.headers
    with pytest.raises(ApiError) as refusal:
        door.visitor(request())
    assert refusal.value.status == 403


@pytest.mark.parametrize(
    "sent",
    [
        {"sec_fetch_site": "same-origin"},
        {"origin": "https://relay.example:8000"},
        {"sec_fetch_site": "same-origin", "origin": "https://what-a-proxy-made-of-it"},
    ],
)
def test_forms_of_the_page_itself_are_taken(sent: dict[str, str]) -> None:
    check_own(request(**sent))


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"sec_fetch_site": "same-site"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "none"},
        {"sec_fetch_site": "cross-site", "origin": "http://relay.example:8000"},
        {"origin": "null"},
        {"origin": "http://relay.example"},
        {"origin": "http://relay.example:9000"},
        {"origin": "http://relay.example:8000.evil.example"},
    ],
)
def test_forms_from_elsewhere_are_refused(sent: dict[str, str]) -> None:
    with pytest.raises(ApiError) as refusal:
        check_own(request(**sent))
    assert refusal.value.status == 403


def test_a_link_from_elsewhere_is_known() -> None:
    assert came_from_elsewhere(request(sec_fetch_site="cross-site"))
    assert not came_from_elsewhere(request(sec_fetch_site="same-origin"))
    assert not came_from_elsewhere(request())
