from __future__ import annotations

import pytest
from starlette.datastructures import Headers

from api.auth import Credentials, Gate, LoopbackOnly
from api.failures import Failure

TOKENS = Credentials({"alice": {"s3cret", "rotated"}, "bob": {"Bob's token"}, "zoë": {"schlüssel"}})


def owner(gate: Gate, **headers: str) -> str:
    return gate.authenticate(Headers({name.replace("_", "-"): value for name, value in headers.items()}))


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
    with pytest.raises(Failure) as failed:
        owner(TOKENS, authorization=authorization)
    assert failed.value.status == 401


def test_no_header_is_unauthorized() -> None:
    with pytest.raises(Failure, match="Unauthorized"):
        owner(TOKENS)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:8000", "127.8.8.8", "[::1]:8000"])
def test_without_credentials_a_program_on_this_machine_is_answered(host: str) -> None:
    assert owner(LoopbackOnly(), host=host) == "anonymous"


@pytest.mark.parametrize("origin", ["http://localhost:3000", "http://127.0.0.1", "https://[::1]:1"])
@pytest.mark.parametrize("site", ["same-origin", "same-site", "none"])
def test_without_credentials_a_page_of_this_machine_is_answered(origin: str, site: str) -> None:
    headers = {"host": "localhost:8000", "origin": origin, "sec_fetch_site": site}
    assert owner(LoopbackOnly(), **headers) == "anonymous"


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
    with pytest.raises(Failure) as failed:
        owner(LoopbackOnly(), **headers)
    assert failed.value.status == 403
