from __future__ import annotations

import pytest

from local.address import local_url, ready
from tests.ports import free_port


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),  # noqa: S104
        ("::", "http://[::1]:80"),
        ("::1", "http://[::1]:80"),
        ("localhost", "http://localhost:80"),
    ],
)
def test_where_a_client_on_this_machine_finds_it(host: str, url: str) -> None:
    assert local_url(host, 80) == url


def test_an_address_without_a_server_is_not_ready() -> None:
    assert not ready(local_url("127.0.0.1", free_port()))
