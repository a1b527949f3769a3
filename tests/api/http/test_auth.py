from __future__ import annotations

import pytest
from starlette.datastructures import Headers

from api.http.api_errors import ApiError
from api.http.auth import Authenticator, Credentials, LoopbackOnly, Scope

TOKENS = Credentials(
    {
        Scope.API: {"alice": {"s3cret", "rotated"}, "bob": {"Bob's token"}, "zoë": {"schlüssel"}, "ada": {"all"}},
        Scope.MONITOR: {"mona": {"looks"}},
        Scope.OPERATE: {"olga": {"acts"}, "ada-as-operator": {"all"}},
    }
)


def owner(authenticator: Authenticator, /, scope: Scope = Scope.API, **headers: str) -> str:
    return authenticator.authenticate(
        Headers({name.replace("_", "-"): value for name, value in headers.items()}), scope
    )


@pytest.mark.parametrize(
    ("authorization", "name"),
    [
        ("Bearer s3cret", "alice"),
        ("Bearer rotated", "alice"),
        ("bearer   s3cret", "alice"),
        ("BEARER s3cret", "alice"),
        (" Bearer s3cret\t", "alice"),
        ("Bearer Bob's token", "bob"),
        ("Bearer " + "schlüssel".encode().decode("latin-1"), "zoë"),  # as a client sends UTF-8
    ],
)
def test_the_owner_of_a_token(authorization: str, name: str) -> None:
    assert owner(TOKENS, authorization=authorization) == name


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        "s3cret",
        "Bearers3cret",
        "Bearer\ts3cret",
        "Bearer S3CRET",
        "Bearer s3cret2",
        "Bearer s3cre",
        "Bearer bob's token",
        "Bearer wrong",
        "Basic s3cret",
        "Token s3cret",
        "Bearer schlüssel",
        "Bearer alice",
        "Bearer Bearer s3cret",
        "Bearer s3cret, Bearer s3cret",
    ],
)
def test_anything_else_is_unauthorized(authorization: str) -> None:
    with pytest.raises(ApiError) as failed:
        owner(TOKENS, authorization=authorization)
    assert failed.value.status == 401


def test_no_header_is_unauthorized() -> None:
    with pytest.raises(ApiError, match="Unauthorized"):
        owner(TOKENS)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:8000", "127.8.8.8", "[::1]:8000"])
def test_without_credentials_a_program_on_this_machine_is_answered(host: str) -> None:
    assert owner(LoopbackOnly(), host=host) == "anonymous"


@pytest.mark.parametrize("origin", ["http://localhost:3000", "http://127.0.0.1", "https://[::1]:1"])
@pytest.mark.parametrize("site", ["same-origin", "same-site", "none"])
def test_without_credentials_a_page_of_this_machine_is_answered(origin: str, site: str) -> None:
    headers = {"host": "localhost:8000", "origin": origin, "sec_fetch_site": site}
    assert owner(LoopbackOnly(), Scope.API, **headers) == "anonymous"


@pytest.mark.parametrize(
    "headers",
    [
        {"host": ""},
        {"host": "evil.example:8000"},
        {"host": "localhost.evil.example"},
        {"host": "localhost@evil.example"},
        {"host": "0.0.0.0:8000"},
        {"host": "10.0.0.1"},
        {"host": "[::"},
        {"host": "localhost", "origin": "https://evil.example"},
        {"host": "localhost", "origin": "https://localhost.evil.example"},
        {"host": "localhost", "origin": "null"},
        {"host": "localhost", "origin": ""},
        {"host": "localhost", "origin": "chrome-extension://abc"},
        {"host": "localhost", "sec_fetch_site": "cross-site"},
        {"host": "localhost", "origin": "http://localhost:3000", "sec_fetch_site": "cross-site"},
        {},
    ],
)
def test_without_credentials_nothing_of_another_site_is_answered(headers: dict[str, str]) -> None:
    with pytest.raises(ApiError) as failed:
        owner(LoopbackOnly(), Scope.API, **headers)
    assert failed.value.status == 403


# --- scopes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("token", "scope", "name"),
    [
        ("looks", Scope.MONITOR, "mona"),
        ("acts", Scope.MONITOR, "olga"),
        ("acts", Scope.OPERATE, "olga"),
        ("all", Scope.API, "ada"),
        ("all", Scope.OPERATE, "ada-as-operator"),
    ],
)
def test_a_token_is_good_for_its_scopes_and_an_operator_may_look(token: str, scope: Scope, name: str) -> None:
    assert owner(TOKENS, scope, authorization=f"Bearer {token}") == name


@pytest.mark.parametrize(
    ("token", "scope"),
    [
        ("s3cret", Scope.MONITOR),
        ("s3cret", Scope.OPERATE),
        ("looks", Scope.OPERATE),
        ("looks", Scope.API),
        ("acts", Scope.API),
    ],
)
def test_a_missing_scope_is_named(token: str, scope: Scope) -> None:
    with pytest.raises(ApiError, match=f"scope `{scope}`") as failed:
        owner(TOKENS, scope, authorization=f"Bearer {token}")
    assert (failed.value.status, failed.value.error["code"]) == (403, "scope_missing")


@pytest.mark.parametrize("scope", Scope)
def test_an_unknown_token_is_not_told_of_scopes(scope: Scope) -> None:
    with pytest.raises(ApiError) as failed:
        owner(TOKENS, scope, authorization="Bearer wrong")
    assert failed.value.status == 401


@pytest.mark.parametrize("scope", Scope)
def test_without_credentials_this_machine_may_do_everything(scope: Scope) -> None:
    assert owner(LoopbackOnly(), scope, host="localhost") == "anonymous"
    with pytest.raises(ApiError):
        owner(LoopbackOnly(), scope, host="evil.example")
