from __future__ import annotations

import pytest
from starlette.requests import Request
from starlette.responses import Response

from api.http.api_errors import ApiError
from api.http.auth import Credentials, LoopbackOnly, Scope
from api.monitor.login import COOKIE, Operator, check_same_origin, end_session, is_cross_site, login_of

TOKENS = Credentials({Scope.MONITOR: {"mona": {"looks"}}, Scope.OPERATE: {"olga": {"acts"}}})


def request(scheme: str = "http", /, **headers: str) -> Request:
    given = {"host": "relay.example:8000", **{name.replace("_", "-"): value for name, value in headers.items()}}
    raw = [(name.encode(), value.encode()) for name, value in given.items()]
    return Request(
        {"type": "http", "scheme": scheme, "method": "POST", "path": "/", "headers": raw, "query_string": b""}
    )


def logged_in(token: str, sent_request: Request) -> str:
    """The cookie's line."""
    answer = Response()
    login_of(TOKENS).begin_session(sent_request, token, answer)
    return answer.headers["set-cookie"]


def cookie_of(line: str) -> str:
    return line.partition(";")[0]


@pytest.mark.parametrize(
    ("token", "operator"), [("looks", Operator("mona", False, True)), ("acts", Operator("olga", True, True))]
)
def test_with_a_token_a_browser_is_logged_in(token: str, operator: Operator) -> None:
    cookie = cookie_of(logged_in(token, request()))
    assert login_of(TOKENS).operator(request(cookie=cookie)) == operator


@pytest.mark.parametrize("cookie", ["", f"{COOKIE}=", f"{COOKIE}=1.2", "other=1"])
def test_without_a_session_a_client_has_to_log_in(cookie: str) -> None:
    with pytest.raises(ApiError) as refusal:
        login_of(TOKENS).operator(request(cookie=cookie))
    assert refusal.value.status == 401


def test_the_cookie_is_for_these_pages_alone_and_out_of_reach_of_scripts() -> None:
    line = logged_in("looks", request())
    for word in ("HttpOnly", "SameSite=strict", "Path=/monitor"):
        assert word in line
    assert "Secure" not in line


@pytest.mark.parametrize(
    "sent_request", [request("https"), request(x_forwarded_proto="https"), request(x_forwarded_proto="https, http")]
)
def test_over_tls_the_cookie_stays_on_tls(sent_request: Request) -> None:
    assert "Secure" in logged_in("looks", sent_request)


def test_a_session_that_ends_is_forgotten_by_the_browser() -> None:
    answer = Response()
    end_session(answer)
    assert answer.headers["set-cookie"].startswith(f'{COOKIE}="";')


def test_without_authentication_this_machine_may_do_everything() -> None:
    login = login_of(LoopbackOnly())
    here = request(host="127.0.0.1:8000")
    assert login.operator(here) == Operator("anonymous", may_operate=True, can_log_out=False)
    answer = Response()
    login.begin_session(here, "", answer)
    assert "set-cookie" not in answer.headers
    with pytest.raises(ApiError) as refusal:
        login.operator(request())
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
    check_same_origin(request(**sent))


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
        check_same_origin(request(**sent))
    assert refusal.value.status == 403


def test_a_link_of_another_site_is_known() -> None:
    assert is_cross_site(request(sec_fetch_site="cross-site"))
    assert not is_cross_site(request(sec_fetch_site="same-origin"))
    assert not is_cross_site(request())
