from __future__ import annotations

import pytest

from api.http.api_errors import ApiError
from api.http.auth import Credentials, Scope
from api.monitor.session_cookie import SESSION_SECONDS, SessionCookies

NOW = 1_700_000_000


def cookies(monitor: str = "looks", operate: str = "acts") -> SessionCookies:
    tokens = {Scope.API: {"alice": {"runs"}}, Scope.MONITOR: {"mona": {monitor}}, Scope.OPERATE: {"olga": {operate}}}
    return SessionCookies(Credentials(tokens))


def refused(shown: str, scope: Scope = Scope.MONITOR, *, now: int = NOW, by: SessionCookies | None = None) -> int:
    with pytest.raises(ApiError) as refusal:
        (by or cookies()).credential(shown, scope, now=now)
    return refusal.value.status


def test_a_cookie_names_its_credential_at_any_process() -> None:
    issued = cookies().issue("acts", now=NOW)
    assert cookies().credential(issued, Scope.OPERATE, now=NOW) == "olga"
    assert cookies().credential(issued, Scope.MONITOR, now=NOW) == "olga"
    assert "acts" not in issued


def test_a_cookie_is_good_for_what_its_token_is_good_for() -> None:
    issued = cookies().issue("looks", now=NOW)
    assert cookies().credential(issued, Scope.MONITOR, now=NOW) == "mona"
    assert refused(issued, Scope.OPERATE) == 403


@pytest.mark.parametrize(("token", "status"), [("wrong", 401), ("", 401), ("runs", 403)])
def test_no_cookie_for_a_token_that_may_not_look(token: str, status: int) -> None:
    with pytest.raises(ApiError) as refusal:
        cookies().issue(token, now=NOW)
    assert refusal.value.status == status


def test_a_session_ends() -> None:
    issued = cookies().issue("looks", now=NOW)
    assert cookies().credential(issued, Scope.MONITOR, now=NOW + SESSION_SECONDS - 1) == "mona"
    assert refused(issued, now=NOW + SESSION_SECONDS) == 401


def test_a_cookie_is_worthless_once_its_token_is_gone() -> None:
    issued = cookies().issue("looks", now=NOW)
    assert refused(issued, by=cookies(monitor="another")) == 401


def test_a_session_cannot_be_prolonged_or_made_up() -> None:
    until, _, code = cookies().issue("looks", now=NOW).partition(".")
    for made_up in (
        f"{int(until) + 1}.{code}",
        f"{until}.{code[:-1]}",
        f"{until}.{code[::-1]}",
        f"{until}.{'0' * 64}",
        f"{until}.{code.upper()}",
        f"{until}.{code}=",
        f"{until}.{code}é",
        f"{until}é.{code}",
        code,
        f"{until}.",
        "",
        ".",
        "é",
    ):
        assert refused(made_up) == 401


def test_a_cookie_of_a_process_whose_clock_is_ahead_is_good() -> None:
    issued = cookies().issue("looks", now=NOW + 5)
    assert cookies().credential(issued, Scope.MONITOR, now=NOW) == "mona"
