from __future__ import annotations

import pytest

from api.http.api_errors import ApiError
from api.http.auth import Credentials, Scope
from api.monitor.passes import PASS_SECONDS, Passes

NOW = 1_700_000_000


def passes(monitor: str = "looks", operate: str = "acts") -> Passes:
    tokens = {Scope.API: {"alice": {"runs"}}, Scope.MONITOR: {"mona": {monitor}}, Scope.OPERATE: {"olga": {operate}}}
    return Passes(Credentials(tokens))


def refused(shown: str, scope: Scope = Scope.MONITOR, *, now: int = NOW, by: Passes | None = None) -> int:
    with pytest.raises(ApiError) as refusal:
        (by or passes()).holder(shown, scope, now=now)
    return refusal.value.status


def test_a_pass_names_whoever_got_it_at_any_process() -> None:
    issued = passes().issue("acts", now=NOW)
    assert passes().holder(issued, Scope.OPERATE, now=NOW) == "olga"
    assert passes().holder(issued, Scope.MONITOR, now=NOW) == "olga"
    assert "acts" not in issued


def test_a_pass_is_good_for_what_its_token_is_good_for() -> None:
    issued = passes().issue("looks", now=NOW)
    assert passes().holder(issued, Scope.MONITOR, now=NOW) == "mona"
    assert refused(issued, Scope.OPERATE) == 403


@pytest.mark.parametrize(("token", "status"), [("wrong", 401), ("", 401), ("runs", 403)])
def test_no_pass_for_a_token_that_may_not_look(token: str, status: int) -> None:
    with pytest.raises(ApiError) as refusal:
        passes().issue(token, now=NOW)
    assert refusal.value.status == status


def test_a_pass_ends() -> None:
    issued = passes().issue("looks", now=NOW)
    assert passes().holder(issued, Scope.MONITOR, now=NOW + PASS_SECONDS - 1) == "mona"
    assert refused(issued, now=NOW + PASS_SECONDS) == 401


def test_a_pass_is_worthless_once_its_token_is_gone() -> None:
    issued = passes().issue("looks", now=NOW)
    assert refused(issued, by=passes(monitor="another")) == 401


def test_a_pass_cannot_be_prolonged_or_made_up() -> None:
    until, _, code = passes().issue("looks", now=NOW).partition(".")
    for made_up in (
        f"{int(until) + 1}.{code}",
        f"{until}.{code[:-1]}",
        f"{until}.{'0' * 64}",
        f"{until}.",
        "",
        ".",
        "é",
    ):
        assert refused(made_up) == 401
